// Draws of every law of the registry against its cdf (DKWM bound; chi-square for laws on whole
// numbers). The rates of false alarm are in goodness.h.
#include "distributions/goodness.h"
#include "distributions/laws.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kDraws = kGoodnessDraws;
constexpr size_t kRows = 4;  // of a law's table

/// Each of a law's rows is compared twice at most.
double alpha() {
  return kGoodnessAlpha / static_cast<double>(2 * kRows * univariate_laws().size());
}

class EveryLawStatistical : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryLawStatistical, DrawsFollowTheCdf) {
  const auto& info = law_info_of(GetParam());
  const json& rows = law_fixture(GetParam()).at("rows");
  const double limit = ks_limit(alpha());
  for (const size_t index : {size_t{0}, rows.size() / 3, kTypicalRow, rows.size() - 1}) {
    const auto& given = rows[index].at("params");
    const auto law = info.make(tensors(given, at::kDouble), Validate::kYes);
    const auto x = law->sample(Noise(index + 1).draws(kDraws), {kDraws});
    try {
      // A law with its mass nearer to 1 than a double can be has draws that pile up there.
      const bool unit = law->support().kind() == Constraint::Kind::kUnitInterval;
      if (unit && law->cdf(scalar(1 - 0x1p-53)).item<double>() < 0.999) continue;
      EXPECT_LE(distance(x, *law), limit) << GetParam() << given;
      if (law->is_discrete()) {
        EXPECT_GE(chi_square_tail(x, *law), alpha()) << GetParam() << given;
      }
    } catch (const UnsupportedError&) {
      GTEST_SKIP() << GetParam() << " has no cdf";
    }
    // Planted: half of the draws replaced by one of them.
    auto wrong = x.clone();
    wrong.slice(0, 0, kDraws / 2).fill_(x.median());
    if (x.min().item<double>() < x.max().item<double>() && !law->is_discrete()) {
      EXPECT_GT(distance(wrong, *law), limit) << GetParam() << " planted";
    }
  }
}

// float32 draws: not only what float64 draws round to, but never outside the support.
TEST_P(EveryLawStatistical, SingleDrawsStayInTheSupport) {
  const auto& info = law_info_of(GetParam());
  for (const json& row : law_fixture(GetParam()).at("rows")) {
    const auto law = info.make(tensors(row.at("params"), at::kFloat), Validate::kYes);
    const auto x = law->sample(Noise(3), {20000});
    EXPECT_TRUE(law->support().check(x).all().item<bool>()) << GetParam() << row.at("params");
    EXPECT_TRUE(law->log_prob(x).isnan().logical_not().all().item<bool>())
        << GetParam() << row.at("params");
  }
}

INSTANTIATE_TEST_SUITE_P(Laws, EveryLawStatistical, ::testing::ValuesIn(law_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace elbo
