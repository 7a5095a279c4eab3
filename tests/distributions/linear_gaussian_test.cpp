#include "elbo/distributions/linear_gaussian.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/distributions.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

LinearGaussian example(bool isotropic) {
  return {
      .weight = Noise(1).normal({5, 2}, kDouble),
      .loc = Noise(2).normal({5}, kDouble),
      .variance = isotropic ? at::full({1}, 0.3, kDouble) : 0.1 + Noise(3).uniform({5}, kDouble)};
}

/// By the joint law of the observed entries and z, row by row.
void expect_conditional(const LinearGaussian& model, const at::Tensor& x, const at::Tensor& mask) {
  const auto q = linear_gaussian_posterior(model, x, mask);
  for (int64_t i = 0; i < x.size(0); ++i) {
    const auto there = mask.defined() ? mask[i].nonzero().flatten() : at::arange(5, at::kLong);
    const auto w = model.weight.index_select(0, there);
    const auto noise = model.variance.expand({5}).index_select(0, there).diag();
    const auto covariance = w.matmul(w.t()) + noise;
    const auto centred = (x[i] - model.loc).index_select(0, there);
    const auto gain = w.t().matmul(at::linalg_inv(covariance));
    const auto root = q.scale_tril[q.scale_tril.size(0) == 1 ? 0 : i];
    EXPECT_TRUE(at::allclose(q.mean[i], gain.matmul(centred), 1e-12, 1e-12));
    EXPECT_TRUE(
        at::allclose(root.matmul(root.t()), at::eye(2, kDouble) - gain.matmul(w), 1e-12, 1e-12));
    EXPECT_TRUE(root.equal(root.tril()));
    const double truth = there.numel() == 0 ? 0
                                            : MultivariateNormal::from_covariance(
                                                  at::zeros_like(centred), covariance)
                                                  .log_prob(centred)
                                                  .item<double>();
    EXPECT_NEAR(q.log_likelihood[i].item<double>(), truth, 1e-11);
  }
}

TEST(LinearGaussian, ConditionsOnWholeRows) {
  const auto x = 2 * Noise(4).normal({7, 5}, kDouble);
  expect_conditional(example(true), x, {});
  expect_conditional(example(false), x, {});
  // A mask without gaps is none.
  const auto all = at::ones({7, 5}, at::kBool);
  EXPECT_TRUE(at::allclose(linear_gaussian_posterior(example(true), x, all).log_likelihood,
                           linear_gaussian_posterior(example(true), x).log_likelihood, 1e-14, 0));
}

TEST(LinearGaussian, ConditionsOnWhatIsThere) {
  auto x = 2 * Noise(4).normal({30, 5}, kDouble);
  const auto mask = Noise(5).uniform({30, 5}, kDouble).gt(0.4);
  mask[3].fill_(false);  // a row of nothing has the prior
  x.masked_fill_(mask.logical_not(), NAN);
  for (const bool isotropic : {true, false}) {
    expect_conditional(example(isotropic), x, mask);
    const auto q = linear_gaussian_posterior(example(isotropic), x, mask);
    EXPECT_TRUE(q.mean[3].eq(0).all().item<bool>());
    EXPECT_TRUE(at::allclose(q.scale_tril[3], at::eye(2, kDouble), 0, 1e-15));
  }
}

TEST(LinearGaussian, KeepsItsDigitsAtSmallNoise) {
  // Orthonormal weights, x = W z + loc: log p(x) has a closed form, in which nothing cancels.
  constexpr double kNoise = 1e-10;
  auto model = example(true);
  model.weight = std::get<0>(at::linalg_qr(model.weight));
  model.variance = at::full({1}, kNoise, kDouble);
  const auto z = 3 * Noise(6).normal({20, 2}, kDouble);
  const auto x = z.matmul(model.weight.t()) + model.loc;
  const auto truth = -0.5 * (5 * std::log(2 * M_PI) + 3 * std::log(kNoise) +
                             2 * std::log1p(kNoise) + z.square().sum(1) / (1 + kNoise));
  const auto found = linear_gaussian_posterior(model, x).log_likelihood;
  EXPECT_LE((found - truth).abs().max().item<double>(), 1e-6);
}

TEST(LinearGaussian, RejectsShapesThatDoNotFit) {
  const auto x = at::zeros({3, 4}, kDouble);
  EXPECT_THROW((void)linear_gaussian_posterior(example(true), x), ShapeError);
  EXPECT_THROW((void)linear_gaussian_posterior(example(true), at::zeros({3, 5}, kDouble),
                                               at::ones({3, 4}, at::kBool)),
               ShapeError);
}

}  // namespace
}  // namespace elbo
