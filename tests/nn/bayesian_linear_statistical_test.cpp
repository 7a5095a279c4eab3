// Rows' activations, and the gradient of a minibatch's squared error, against their moments in
// closed form. One particle is one draw of the minibatch; n = 400 000. A variance that is off by
// 2 % lies outside of z* = 6.11 there, and so does the planted one of the other kind of draws.
#include "elbo/nn/bayesian_linear.h"
#include "support/statistics.h"

namespace elbo::nn {
namespace {

using testing::estimate;
using testing::estimate_variance;
using testing::kZStar;

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kDraws = 400'000, kRows = 4, kIn = 2;

/// eta_n = x_n w + b with independent normal w and b, and the loss (1/M) sum (t_n - eta_n)^2 / 2.
struct Problem {
  Problem() {
    const at::NoGradGuard no_grad;
    auto named = q.parameters();
    named[0].second.copy_(at::tensor({0.7, -1.1}, kDouble).view({1, kIn}));
    named[1].second.copy_(at::tensor({0.4}, kDouble));
    named[2].second.copy_(at::tensor({0.5, -0.8, 0.2}, kDouble));
  }
  WeightPosterior q{{{"eta.weight", {1, kIn}}, {"eta.bias", {1}}}, {.start_scale = 0.6}, kDouble};
  at::Tensor x = at::tensor({1.0, 0.3, -0.4, 1.2, 2.0, -0.7, 0.6, 0.9}, kDouble).view({kRows, kIn});
  at::Tensor t = at::tensor({0.2, -1.0, 1.5, 0.8}, kDouble);

  at::Tensor activations(WeightDraws draws) const {  // [n, M]
    const auto w = q.law()->expand({kDraws, 1})->sample(Noise(21).particles(kDraws));
    const auto keyed = [&](const std::string& layer) {
      return Noise(22).site(layer).particles(kDraws).rows(at::arange(kRows));
    };
    const at::NoGradGuard no_grad;
    return BayesianLayers(q, draws, w, keyed)
        .linear(x.expand({kDraws, kRows, kIn}), "eta")
        .squeeze(-1);
  }
  at::Tensor mean() const { return x.mv(q.loc("eta.weight")[0]) + q.loc("eta.bias"); }
  at::Tensor design() const { return at::cat({x, at::ones({kRows, 1}, kDouble)}, 1); }
  at::Tensor variance() const { return design().square().mv(q.variance()); }

  /// Of the loss along the first weight's mean, for each draw: [n]. Its mean is common to all
  /// kinds.
  at::Tensor gradients(WeightDraws draws) const {
    return ((activations(draws) - t) * x.select(1, 0)).mean(1);
  }
  double gradient() const { return ((mean() - t) * x.select(1, 0)).mean().item<double>(); }
  /// var (1/M) sum x_n eta_n, for rows that share their weights or do not.
  double gradient_variance(bool shared) const {
    const auto outer = shared ? design().t().mv(x.select(1, 0)).square().dot(q.variance())
                              : x.select(1, 0).square().dot(variance());
    return outer.item<double>() / (kRows * kRows);
  }
};

class Draws : public ::testing::TestWithParam<WeightDraws> {};

TEST_P(Draws, GiveARowTheActivationsLaw) {
  const at::NoGradGuard no_grad;
  const Problem p;
  const auto y = p.activations(GetParam());
  for (int64_t n = 0; n < kRows; ++n) {
    const double mean = p.mean()[n].item<double>(), variance = p.variance()[n].item<double>();
    EXPECT_LE(estimate(y.select(1, n)).z(mean), kZStar) << n;
    EXPECT_LE(estimate_variance(y.select(1, n)).z(variance), kZStar) << n;
    EXPECT_GT(estimate_variance(y.select(1, n)).z(1.02 * variance), kZStar) << "planted: 2 % off";
  }
}

TEST_P(Draws, LeaveTheGradientWhereItIsAndSetItsVariance) {
  const at::NoGradGuard no_grad;
  const Problem p;
  const bool shared = GetParam() == WeightDraws::kShared;
  const auto g = p.gradients(GetParam());
  EXPECT_LE(estimate(g).z(p.gradient()), kZStar);
  EXPECT_GT(estimate(g).z(1.02 * p.gradient()), kZStar) << "planted: 2 % off";
  EXPECT_LE(estimate_variance(g).z(p.gradient_variance(shared)), kZStar);
  EXPECT_GT(estimate_variance(g).z(p.gradient_variance(!shared)), kZStar)
      << "planted: the other kind of draws";
}

INSTANTIATE_TEST_SUITE_P(All, Draws,
                         ::testing::Values(WeightDraws::kShared, WeightDraws::kLocal,
                                           WeightDraws::kFlipout));

TEST(Draws, OfRowsApartHaveTheSmallerVariance) {
  const Problem p;
  EXPECT_LT(1.5 * p.gradient_variance(false), p.gradient_variance(true));
}

TEST(LocalLinear, GradientsAlongTheSpreadAreTheSharedDrawsInTheMean) {
  // d E (t - eta)^2 / 2 / d log var_i = var_i (1/M) sum x_ni^2 / 2.
  const Problem p;
  const auto expected = 0.5 * p.q.variance().detach() * p.design().square().mean(0);
  const auto log_var = p.q.parameters()[2].second;
  constexpr int64_t kGroups = 400;  // of 1000 draws
  for (const auto draws : {WeightDraws::kShared, WeightDraws::kLocal, WeightDraws::kFlipout}) {
    std::vector<at::Tensor> found;
    for (int64_t i = 0; i < kGroups; ++i) {
      const Noise noise = Noise(23, static_cast<uint64_t>(i)).particles(kDraws / kGroups);
      const auto w = p.q.law()->expand({kDraws / kGroups, 1})->rsample(noise);
      const auto keyed = [&](const std::string& layer) {
        return noise.site(layer).rows(at::arange(kRows));
      };
      const auto eta = BayesianLayers(p.q, draws, w, keyed)
                           .linear(p.x.expand({kDraws / kGroups, kRows, kIn}), "eta");
      log_var.mutable_grad().reset();
      (0.5 * (p.t - eta.squeeze(-1)).square()).mean().backward();
      found.push_back(log_var.grad().clone());
    }
    const auto all = at::stack(found);
    for (int64_t i = 0; i <= kIn; ++i) {
      EXPECT_LE(estimate(all.select(1, i)).z(expected[i].item<double>()), kZStar)
          << to_string(draws) << i;
      EXPECT_GT(estimate(all.select(1, i)).z(0), kZStar) << "planted: no gradient";
    }
  }
}

}  // namespace
}  // namespace elbo::nn
