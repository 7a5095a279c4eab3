// Draws of every law of the registry against its cdf, n = 1e5. The suite's false-alarm rate over
// seeds is 1e-6, shared evenly among the comparisons (DKWM bound; chi-square for laws on whole
// numbers). A law off by twice the limit (about 0.02 in the cdf) is surely caught.
#include "distributions/laws.h"
#include "elbo/kernels/math.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kDraws = 100'000;
constexpr double kSuiteAlpha = 1e-6;
constexpr size_t kRows = 4;  // of a law's table

/// Each of a law's rows is compared twice at most.
double alpha() { return kSuiteAlpha / static_cast<double>(2 * kRows * univariate_laws().size()); }

/// sup |F_n - F| at and just below every draw.
double distance(const at::Tensor& draws, const Distribution& law) {
  const auto x = std::get<0>(draws.flatten().sort());
  const auto f = law.cdf(x);
  const auto n = static_cast<double>(x.numel());
  if (!law.is_discrete()) return ks_distance(f);
  const auto last = at::searchsorted(x, x, false, /*right=*/true).to(at::kDouble);
  const auto first = at::searchsorted(x, x).to(at::kDouble);
  return at::max((last / n - f).abs().max(), (first / n - law.cdf(x - 1)).abs().max())
      .item<double>();
}

/// Pearson's tail probability over whole numbers, those with fewer than 25 expected pooled.
double chi_square_tail(const at::Tensor& draws, const Distribution& law) {
  const auto x = std::get<0>(draws.flatten().sort());
  const auto n = static_cast<double>(x.numel());
  double statistic = 0, below = 0;  // F at the last edge
  int64_t seen = 0, bins = 0;
  const auto values = std::get<0>(at::_unique(x, true));
  for (int64_t i = 0; i < values.numel(); ++i) {
    const bool is_last = i + 1 == values.numel();
    const auto edge = values[i];
    const double f = is_last ? 1 : law.cdf(edge).item<double>();
    const double expected = n * (f - below);
    if (!is_last && (expected < 25 || n * (1 - f) < 25)) continue;
    const auto upto =
        is_last ? x.numel() : at::searchsorted(x, edge.reshape({1}), false, true).item<int64_t>();
    const auto observed = static_cast<double>(upto - seen);
    if (expected > 0) statistic += (observed - expected) * (observed - expected) / expected;
    below = f;
    seen = upto;
    ++bins;
  }
  return bins < 2 ? 1 : math::gamma_q(0.5 * static_cast<double>(bins - 1), 0.5 * statistic);
}

class EveryLawStatistical : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryLawStatistical, DrawsFollowTheCdf) {
  const auto& info = law_info_of(GetParam());
  const json& rows = law_fixture(GetParam()).at("rows");
  const double limit = std::sqrt(std::log(2 / alpha()) / (2 * static_cast<double>(kDraws)));
  for (const size_t index : {size_t{0}, rows.size() / 3, kTypicalRow, rows.size() - 1}) {
    const auto& given = rows[index].at("params");
    const auto law = info.make(tensors(given, at::kDouble), Validate::kYes);
    const auto x = law->sample(Noise(index + 1).draws(kDraws), {kDraws});
    try {
      // A law with its mass nearer to 1 than a double can be has draws that pile up there.
      const bool unit = law->support().kind() == Constraint::Kind::kUnitInterval;
      if (unit && law->cdf(scalar(1 - 0x1p-53)).item<double>() < 0.999) continue;
      EXPECT_LE(distance(x, *law), limit) << GetParam() << given;
      if (law->is_discrete()) EXPECT_GE(chi_square_tail(x, *law), alpha()) << GetParam() << given;
    } catch (const UnsupportedError&) {
      GTEST_SKIP() << GetParam() << " has no cdf";
    }
    // Planted: half of the draws replaced by one of them.
    auto wrong = x.clone();
    wrong.slice(0, 0, kDraws / 2).fill_(x.median());
    if (x.min().item<double>() < x.max().item<double>() && !law->is_discrete())
      EXPECT_GT(distance(wrong, *law), limit) << GetParam() << " planted";
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
