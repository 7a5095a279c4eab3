#include "elbo/estimators/expectation_gradient.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/distributions.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor sine(const at::Tensor& z) { return z.sin(); }
DistributionPtr normal(at::TensorList p) { return Normal(p[0], p[1]).clone(); }

TEST(ExpectationGradient, IsOneGradientADrawOfEveryParameter) {
  const std::vector<at::Tensor> p = {at::zeros({1, 4}, kDouble), at::ones({3, 1}, kDouble)};
  for (const auto how : {GradientEstimator::kScoreFunction, GradientEstimator::kReparameterized}) {
    const auto got = expectation_gradient(how, normal, p, sine, Noise(1), 10);
    ASSERT_EQ(got.mean.size(), 2U);
    EXPECT_EQ(got.value.dim(), 0);
    EXPECT_EQ(got.mean[0].sizes(), (std::vector<int64_t>{1, 4}));
    EXPECT_EQ(got.variance[1].sizes(), (std::vector<int64_t>{3, 1}));
    EXPECT_FALSE(got.mean[0].requires_grad());
  }
}

// With f summed over the batch by the caller, the score is that of all elements together: another
// estimator, of the same gradient. With the same draws, the reparameterised one is the same.
TEST(ExpectationGradient, TakesOneCostADrawToo) {
  const std::vector<at::Tensor> p = {at::zeros({4}, kDouble), at::ones({4}, kDouble)};
  const auto summed = [](const at::Tensor& z) { return z.sin().sum(-1); };
  const auto how = GradientEstimator::kReparameterized;
  EXPECT_TRUE(expectation_gradient(how, normal, p, sine, Noise(1), 10)
                  .mean[0]
                  .equal(expectation_gradient(how, normal, p, summed, Noise(1), 10).mean[0]));
  const auto score = GradientEstimator::kScoreFunction;
  EXPECT_GT(expectation_gradient(score, normal, p, summed, Noise(1), 1000)
                .variance[0]
                .min()
                .item<double>(),
            expectation_gradient(score, normal, p, sine, Noise(1), 1000)
                .variance[0]
                .max()
                .item<double>());
}

TEST(ExpectationGradient, RefusesWhatItCannotEstimate) {
  const auto coin = [](at::TensorList p) { return Bernoulli(p[0]).clone(); };
  const auto interval = [](at::TensorList p) { return Uniform(p[0], p[1]).clone(); };
  const auto half = at::full({}, 0.5, kDouble), one = at::ones({}, kDouble);
  using enum GradientEstimator;
  EXPECT_THROW((void)expectation_gradient(kReparameterized, coin, half, sine, Noise(1), 10),
               UnsupportedError);
  EXPECT_THROW(
      (void)expectation_gradient(kScoreFunction, interval, {half, one}, sine, Noise(1), 10),
      UnsupportedError);
  EXPECT_THROW((void)expectation_gradient(kScoreFunction, coin, half, sine, Noise(1), 1),
               ConfigError);
  const auto total = [](const at::Tensor& z) { return z.sum(); };
  EXPECT_THROW((void)expectation_gradient(kScoreFunction, coin, half, total, Noise(1), 10),
               ShapeError);
}

}  // namespace
}  // namespace elbo
