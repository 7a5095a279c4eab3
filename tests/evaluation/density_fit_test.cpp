#include "elbo/evaluation/density_fit.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/distributions/multivariate_normal.h"
#include "elbo/error.h"
#include "elbo/kernels/noise.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

/// [F, M, D], each row with a covariance of its own.
at::Tensor points(int64_t count, int64_t rows, int64_t dim) {
  const auto e = Noise(3).normal({count, rows, dim}, kDouble);
  const auto mix = Noise(4).normal({rows, dim, dim}, kDouble);
  return mix.matmul(e.unsqueeze(-1)).squeeze(-1) + 3;
}
const at::Tensor kU = Noise(5).normal({7, 2, 3}, kDouble) * 2 + 3;

TEST(GaussianFit, IsTheNormalLawOfTheMoments) {
  const auto x = points(50, 2, 3);
  const auto got = GaussianFit(x).log_density(kU);
  EXPECT_EQ(got.sizes(), at::IntArrayRef({7, 2}));
  for (int64_t row = 0; row < 2; ++row) {
    const auto of_row = x.select(1, row);
    const auto law = MultivariateNormal::from_covariance(of_row.mean(0), of_row.t().cov());
    EXPECT_TRUE(got.select(1, row).allclose(law.log_prob(kU.select(1, row)), 1e-11, 1e-11));
  }
}

TEST(KernelFit, IsTheMeanOfNormalLaws) {
  const auto x = points(50, 2, 3);
  const KernelFit fit(x);
  EXPECT_NEAR(fit.bandwidth(), std::pow(50, -1.0 / 7), 1e-15);
  const auto got = fit.log_density(kU);
  for (int64_t row = 0; row < 2; ++row) {
    const auto of_row = x.select(1, row);
    const auto covariance = of_row.t().cov() * fit.bandwidth() * fit.bandwidth();
    std::vector<at::Tensor> laws;
    for (int64_t i = 0; i < 50; ++i)
      laws.push_back(
          MultivariateNormal::from_covariance(of_row[i], covariance).log_prob(kU.select(1, row)));
    const auto mean = at::stack(laws).logsumexp(0) - std::log(50);
    EXPECT_TRUE(got.select(1, row).allclose(mean, 1e-9, 1e-9));
  }
}

TEST(KernelFit, HasMassOne) {
  const KernelFit fit(points(20, 1, 1));
  const auto u = at::linspace(-60, 60, 200'001, kDouble).view({-1, 1, 1});
  EXPECT_NEAR(fit.log_density(u).exp().sum().item<double>() * 120 / 200'000, 1, 1e-10);
}

TEST(DensityFit, RejectsTooFewPointsAndPointsThatStand) {
  EXPECT_THROW((void)GaussianFit(points(3, 1, 3)), ConfigError);
  EXPECT_THROW((void)GaussianFit(at::ones({9, 2, 2}, kDouble)), NumericError);
}

}  // namespace
}  // namespace elbo
