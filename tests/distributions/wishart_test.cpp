#include "elbo/distributions/wishart.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

const at::Tensor kLower = values({2, 0, -1.5, 0.5}, {2, 2});

at::Tensor product(const at::Tensor& l) { return l.matmul(l.transpose(-2, -1)); }

TEST(Wishart, AgreesWithTheTable) {
  expect_multivariate_table("Wishart", [](const json& p, at::ScalarType type) {
    return Wishart(tensor_of(p["df"], type), tensor_of(p["scale_tril"], type)).clone();
  });
}

TEST(Wishart, IsTheSameFromCovarianceAndPrecision) {
  const Wishart law(scalar(5), kLower);
  const auto covariance = Wishart::from_covariance(scalar(5), law.covariance_matrix());
  const auto precision = Wishart::from_precision(scalar(5), law.precision_matrix());
  EXPECT_LE(deviation(covariance.scale_tril(), kLower), 1e-14);
  EXPECT_LE(deviation(precision.scale_tril(), kLower), 1e-13);
  EXPECT_LE(deviation(law.covariance_matrix(), product(kLower)), 1e-14);
}

TEST(Wishart, RejectsInvalidParameters) {
  expect_domain_error(
      [] {
        Wishart(values({3, 1}, {2}), kLower);
      },
      "Wishart: df must be > d - 1 = 1, got 1 at [1]");
  expect_domain_error([] { Wishart(scalar(3), -kLower); },
                      "Wishart: the diagonal of scale_tril must be > 0, got -2 at [0]");
  expect_domain_error([] { (void)Wishart::from_covariance(scalar(3), -at::eye(2, at::kDouble)); },
                      "Wishart: expected a positive definite covariance_matrix");
  EXPECT_NO_THROW(Wishart(scalar(0.5), kLower, Validate::kNo));
  EXPECT_THROW(Wishart(scalar(3), at::ones({2, 3})), ShapeError);
  EXPECT_THROW(Wishart(scalar(3), at::ones({2})), ShapeError);
  EXPECT_THROW(Wishart(at::full({3}, 5.0), at::eye(2).repeat({2, 1, 1})), ShapeError);
}

TEST(Wishart, HasShapesSampleBatchEvent) {
  expect_shapes(Wishart(scalar(4), kLower), {}, {2, 2});
  const Wishart law(values({3, 4, 9}, {3, 1}), at::stack({kLower, 2 * kLower}));
  expect_shapes(law, {3, 2}, {2, 2});
  for (const auto& moment : {law.mean(), law.variance(), law.mode(), law.precision_matrix()})
    EXPECT_EQ(moment.sizes(), at::IntArrayRef({3, 2, 2, 2}));
  EXPECT_EQ(law.entropy().sizes(), at::IntArrayRef({3, 2}));
  const auto x = Wishart(scalar(1e6), 30 * kLower).sample(Noise(1), {100});
  EXPECT_TRUE(x.equal(x.transpose(-2, -1))) << "symmetric to the last bit";
}

TEST(Wishart, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({0.3, 9, 2, 0.5, 1.5, 9, 0.2, -0.4}, {2, 2, 2}),
                                          values({2.5, 7}, {2}),
                                          values({0.3, 9, -1.5, -0.4}, {2, 2})};
  const auto law = [](const auto& in) { return Wishart(in[1], tril_of(in[2])); };
  expect_gradients({[&](const auto& in) { return law(in).log_prob(product(tril_of(in[0]))); },
                    [&](const auto& in) {  // by df the gradient is implicit: see below
                      return Wishart(in[1].detach() * 0 + 3, tril_of(in[2])).rsample(Noise(2), {4});
                    },
                    [&](const auto& in) { return law(in).entropy(); },
                    [&](const auto& in) { return law(in).mean() + law(in).variance(); }},
                   inputs);
}

TEST(Wishart, DrawsHaveItsMomentsAndEntropy) {
  for (const double df : {2.5, 9.0}) {
    const Wishart law(scalar(df), kLower);
    expect_moments(law);
    expect_entropy(law);
  }
  expect_moments(Wishart(scalar(4), at::eye(3, at::kDouble)));
}

TEST(Wishart, GradientByDfIsThatOfTheExpectation) {
  const auto df = at::full({kMomentDraws}, 2.5, at::kDouble).requires_grad_();
  const auto x = Wishart(df, kLower).rsample(Noise(5).draws(kMomentDraws));
  x.select(1, 0).select(1, 0).sum().backward();
  EXPECT_LE(estimate(df.grad()).z(4), kZStar) << "E[X_00] = df V_00";
  EXPECT_GT(estimate(df.grad()).z(4.2), kZStar) << "planted";
}

}  // namespace
}  // namespace elbo
