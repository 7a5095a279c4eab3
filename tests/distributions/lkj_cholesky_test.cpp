#include "elbo/distributions/lkj_cholesky.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

TEST(LKJCholesky, AgreesWithTheTable) {
  expect_multivariate_table("LKJCholesky", [](const json& p, at::ScalarType type) {
    return LKJCholesky(p["dim"].get<int64_t>(), tensor_of(p["concentration"], type)).clone();
  });
}

TEST(LKJCholesky, RejectsInvalidParameters) {
  expect_domain_error([] { LKJCholesky(1, scalar(1)); }, "LKJCholesky: dim must be >= 2, got 1");
  expect_domain_error(
      [] {
        LKJCholesky(3, values({1, 0}, {2}));
      },
      "LKJCholesky: concentration must be > 0, got 0 at [1]");
  EXPECT_NO_THROW(LKJCholesky(3, scalar(-1), Validate::kNo));
  EXPECT_THROW((void)LKJCholesky(3, scalar(1)).mode(), UnsupportedError);
}

TEST(LKJCholesky, HasShapesSampleBatchEvent) {
  expect_shapes(LKJCholesky(3, scalar(1)), {}, {3, 3});
  const LKJCholesky law(4, values({1, 2, 3, 0.5, 1, 9}, {3, 2}));
  expect_shapes(law, {3, 2}, {4, 4});
  EXPECT_EQ(law.dim(), 4);
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({3, 2, 4, 4}));
  EXPECT_EQ(law.variance().sizes(), at::IntArrayRef({3, 2, 4, 4}));
  EXPECT_EQ(law.entropy().sizes(), at::IntArrayRef({3, 2}));
  EXPECT_EQ(LKJCholesky(3, at::ones({})).sample(Noise(1)).scalar_type(), at::kFloat);
}

TEST(LKJCholesky, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({1, 0, 0, 0.3, 2, 0, 0.5, 1.5, 1}, {3, 3}),
                                          values({0.4, 3}, {2})};
  const auto x = [](const auto& in) {
    const auto lower = in[0].tril();
    return lower / lower.square().sum(-1, true).sqrt();
  };
  expect_gradients({[&](const auto& in) { return LKJCholesky(3, in[1]).log_prob(x(in)); },
                    [&](const auto& in) { return LKJCholesky(3, in[1]).entropy(); },
                    [&](const auto& in) { return LKJCholesky(3, in[1]).mean(); },
                    [&](const auto& in) { return LKJCholesky(3, in[1]).variance(); }},
                   inputs);
}

TEST(LKJCholesky, DrawsHaveItsMomentsAndEntropy) {
  for (const double concentration : {0.5, 4.0}) {
    const LKJCholesky law(4, scalar(concentration));
    expect_moments(law);
    expect_entropy(law);
  }
}

TEST(LKJCholesky, CorrelationsAreBeta) {
  // Each correlation r has (r + 1) / 2 ~ Beta(b, b), b = concentration + (dim - 2) / 2, whatever
  // its place (Lewandowski et al. 2009): variance 1 / (2 b + 1), and for b = 1 a uniform law.
  const LKJCholesky law(4, scalar(2));
  const auto lower = law.sample(Noise(3).draws(kMomentDraws), {kMomentDraws});
  const auto correlation = lower.matmul(lower.transpose(-2, -1));
  for (int64_t i = 1; i < 4; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      const auto r = correlation.select(1, i).select(1, j);
      EXPECT_LE(estimate(r).z(0), kZStar);
      EXPECT_LE(estimate_variance(r).z(1.0 / 7), kZStar) << i << " " << j;
      EXPECT_GT(estimate_variance(r).z(1.0 / 6.5), kZStar) << "planted";
    }
  }
  const auto flat = LKJCholesky(2, scalar(1)).sample(Noise(3).draws(kMomentDraws), {kMomentDraws});
  EXPECT_LE(ks_distance(0.5 * (flat.select(1, 1).select(1, 0) + 1)),
            kKsLimit * std::sqrt(static_cast<double>(kKsDraws) / kMomentDraws));
}

TEST(LKJCholesky, GradientIsThatOfTheExpectation) {
  // E[L_10^2] = 1 / (2 b + 1) at dim 3 with b = concentration + 1/2; by it -2 / (2 b + 1)^2.
  const auto eta = at::full({kMomentDraws}, 1.5, at::kDouble).requires_grad_();
  const auto x = LKJCholesky(3, eta).rsample(Noise(5).draws(kMomentDraws));
  x.select(1, 1).select(1, 0).square().sum().backward();
  EXPECT_LE(estimate(eta.grad()).z(-2.0 / 25), kZStar);
  EXPECT_GT(estimate(eta.grad()).z(-2.2 / 25), kZStar) << "planted";
}

}  // namespace
}  // namespace elbo
