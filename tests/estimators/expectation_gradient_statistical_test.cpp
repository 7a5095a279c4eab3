// Both estimators of an expectation's gradient, in the mean and in the variance. Seeds are fixed;
// n = 1e6 draws on the normal law, 2e5 on every other; false alarm 1e-9 a comparison (z* = 6.11).
#include "distributions/laws.h"
#include "elbo/estimators/expectation_gradient.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;
using enum GradientEstimator;

// E z^2 = mu^2 + sigma^2 of a normal law, where both estimators' variances are polynomials.
TEST(ExpectationGradientStatistical, HasTheMomentsOfTheFormulaOnANormalLaw) {
  constexpr int64_t kDraws = 1'000'000;
  const auto family = [](at::TensorList p) { return Normal(p[0], p[1]).clone(); };
  const auto f = [](const at::Tensor& z) { return z.square(); };
  for (const auto& [m, s] : {std::pair{0.2, 0.3}, {1.0, 1.0}, {-2.0, 0.5}}) {
    const std::vector<at::Tensor> p = {scalar(m), scalar(s)};
    const auto score = expectation_gradient(kScoreFunction, family, p, f, Noise(61), kDraws);
    const auto path = expectation_gradient(kReparameterized, family, p, f, Noise(62), kDraws);
    const double m2 = m * m, s2 = s * s;
    // z^2 eps / s and z^2 (eps^2 - 1) / s, z = m + s eps: their second moments
    const double of_score[] = {(m2 * m2 + 18 * m2 * s2 + 15 * s2 * s2) / s2 - 4 * m2,
                               (2 * m2 * m2 + 60 * m2 * s2 + 78 * s2 * s2) / s2 - 4 * s2};
    const double of_path[] = {4 * s2, 4 * (m2 + 2 * s2)};
    const double truth[] = {2 * m, 2 * s};
    for (size_t k = 0; k < 2; ++k) {
      const auto within = [&](const at::Tensor& got, double expected, double deviation) {
        EXPECT_LE(std::abs(got.item<double>() - expected), kZStar * deviation)
            << "m " << m << " s " << s << " parameter " << k;
      };
      const double n = static_cast<double>(kDraws);
      within(score.mean[k], truth[k], std::sqrt(of_score[k] / n));
      within(path.mean[k], truth[k], std::sqrt(of_path[k] / n));
      // The kurtosis of these polynomials of degree 4 and 2 in a normal number is below 400 and 16.
      within(score.variance[k], of_score[k], of_score[k] * 20 / std::sqrt(n));
      within(path.variance[k], of_path[k], of_path[k] * 4 / std::sqrt(n));
    }
    EXPECT_LT(path.variance[0].item<double>(), score.variance[0].item<double>());
  }
}

class EveryLawsGradient : public ::testing::TestWithParam<std::string> {};

/// The law with all but its real parameters fixed.
struct Free {
  const LawInfo& info;
  std::vector<at::Tensor> all, free;
  std::vector<size_t> place;
  explicit Free(const std::string& name)
      : info(law_info_of(name)),
        all(tensors(law_fixture(name).at("rows")[kTypicalRow].at("params"), at::kDouble)) {
    for (size_t i = 0; i < all.size(); ++i) {
      const Range range = info.parameters[i].range;
      const std::string& edge = info.parameters[i].name;
      const bool moves_support = (name == "Pareto" && edge == "scale") || name == "Reciprocal" ||
                                 name == "Triangular" || name == "Uniform";
      if (range == Range::kCount || range == Range::kPositiveCount || moves_support) continue;
      place.push_back(i);
      free.push_back(all[i]);
    }
  }
  [[nodiscard]] Family family() const {
    return [this](at::TensorList moving) {
      auto p = all;
      for (size_t i = 0; i < place.size(); ++i) p[place[i]] = moving[i];
      return info.make(p, Validate::kNo);
    };
  }
};

// sum of f(k) p(k) over whole numbers, differentiated.
std::vector<at::Tensor> enumerated(const Free& law,
                                   const std::function<at::Tensor(const at::Tensor&)>& f) {
  std::vector<at::Tensor> moving;
  for (const auto& p : law.free) moving.push_back(p.clone().requires_grad_());
  const auto k = at::arange(20000, at::kDouble);
  const auto log_p = law.family()(moving)->log_prob(k);
  return torch_gradients((f(k) * log_p.exp()).sum(), moving);
}

TEST_P(EveryLawsGradient, TheTwoEstimatorsAgree) {
  constexpr int64_t kDraws = 200'000;
  const Free law(GetParam());
  if (law.free.empty()) GTEST_SKIP() << GetParam() << ": its support moves with every parameter";
  const auto fixed = law.info.make(law.all, Validate::kNo);
  const auto few = fixed->sample(Noise(63), {1001}).to(at::kDouble);
  const auto centre = few.median(), width = (few - centre).abs().median() + 0.1;
  const bool circular = GetParam() == "VonMises";  // f must be continuous where the circle closes
  const auto f = [&](const at::Tensor& z) {
    return circular ? (z - centre).sin() : ((z - centre) / width).tanh();
  };
  const auto score =
      expectation_gradient(kScoreFunction, law.family(), law.free, f, Noise(64), kDraws);
  const bool continuous = fixed->has_rsample();
  const auto other = continuous ? expectation_gradient(kReparameterized, law.family(), law.free, f,
                                                       Noise(65), kDraws)
                                : ExpectationGradient{{}, enumerated(law, f), {}};
  for (size_t k = 0; k < law.free.size(); ++k) {
    const double n = static_cast<double>(kDraws);
    const double score_variance = score.variance[k].item<double>();
    const double path_variance = continuous ? other.variance[k].item<double>() : 0;
    const double limit = kZStar * std::sqrt((score_variance + path_variance) / n);
    const double a = score.mean[k].item<double>(), b = other.mean[k].item<double>();
    const char* name = law.info.parameters[law.place[k]].name;
    EXPECT_LE(std::abs(a - b), limit) << GetParam() << " along " << name;
    EXPECT_GT(score_variance, 0) << GetParam() << " along " << name;
    RecordProperty(std::string("score_variance_") + name, std::to_string(score_variance));
    RecordProperty(std::string("path_variance_") + name, std::to_string(path_variance));
    if (std::getenv("ELBO_PRINT_VARIANCES") != nullptr)
      fmt::print("{:<30}{:<16}{:>12.5f}{:>14.4g}{:>14.4g}\n", GetParam(), name, b, score_variance,
                 path_variance);
  }
}

INSTANTIATE_TEST_SUITE_P(Laws, EveryLawsGradient, ::testing::ValuesIn(law_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace elbo
