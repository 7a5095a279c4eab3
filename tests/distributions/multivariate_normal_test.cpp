#include "elbo/distributions/multivariate_normal.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

MultivariateNormal example() { return {values({1, -2}, {2}), values({2, 0, -1.5, 0.5}, {2, 2})}; }

TEST(MultivariateNormal, AgreesWithTheTable) {
  expect_multivariate_table("MultivariateNormal", [](const json& p, at::ScalarType type) {
    return MultivariateNormal(tensor_of(p["loc"], type), tensor_of(p["scale_tril"], type)).clone();
  });
}

TEST(MultivariateNormal, IsTheSameFromCovarianceAndPrecision) {
  for (const json& row : multivariate_fixtures().at("MultivariateNormal")) {
    const auto loc = tensor_of(row["params"]["loc"]);
    const auto lower = tensor_of(row["params"]["scale_tril"]);
    const MultivariateNormal law(loc, lower);
    const auto covariance = MultivariateNormal::from_covariance(loc, law.covariance_matrix());
    const auto precision = MultivariateNormal::from_precision(loc, law.precision_matrix());
    EXPECT_LE(deviation(covariance.scale_tril(), lower), 1e-12);
    EXPECT_LE(deviation(precision.scale_tril(), lower), 1e-12);
    const auto identity = law.covariance_matrix().matmul(law.precision_matrix());
    EXPECT_LE(deviation(identity, at::eye(loc.size(0), at::kDouble)), 1e-12);
  }
}

TEST(MultivariateNormal, RejectsInvalidParameters) {
  const auto loc = at::zeros({2}, at::kDouble);
  auto lower = at::eye(2, at::kDouble).repeat({3, 1, 1});
  lower[1][1][1] = -1;
  expect_domain_error(
      [&] { MultivariateNormal(loc, lower); },
      "MultivariateNormal: the diagonal of scale_tril must be > 0, got -1 at [1, 1]");
  expect_domain_error(
      [&] {
        MultivariateNormal(loc, at::ones({2, 2}, at::kDouble));
      },
      "MultivariateNormal: scale_tril above its diagonal must be 0, got 1 at [0, 1]");
  expect_domain_error([&] { MultivariateNormal(loc + INFINITY, at::eye(2, at::kDouble)); },
                      "MultivariateNormal: loc must be finite, got inf at [0]");
  expect_domain_error(
      [&] {
        (void)MultivariateNormal::from_covariance(loc, at::ones({2, 2}, at::kDouble));
      },
      "MultivariateNormal: expected a positive definite covariance_matrix");
  expect_domain_error(
      [&] {
        (void)MultivariateNormal::from_precision(loc,
                                                 values({1, 0, 0, 1, 1, 0.5, 0, 1}, {2, 2, 2}));
      },
      "MultivariateNormal: expected a symmetric precision_matrix at [1]");
  EXPECT_NO_THROW(MultivariateNormal(loc, lower, Validate::kNo));
  EXPECT_THROW(MultivariateNormal(loc, at::eye(3, at::kDouble)), ShapeError);
  EXPECT_THROW(MultivariateNormal(scalar(0), at::eye(1, at::kDouble)), ShapeError);
  EXPECT_THROW(MultivariateNormal(at::zeros({3, 2}, at::kDouble), at::eye(2).repeat({4, 1, 1})),
               ShapeError);
}

TEST(MultivariateNormal, HasShapesSampleBatchEvent) {
  const auto lower = example().scale_tril();
  expect_shapes(example(), {}, {2});
  expect_shapes(MultivariateNormal(at::zeros({4, 3, 2}, at::kDouble), lower), {4, 3}, {2});
  const auto some = at::stack({lower, 2 * lower, 3 * lower});
  expect_shapes(MultivariateNormal(at::zeros({2}, at::kDouble), some), {3}, {2});
  expect_shapes(MultivariateNormal(at::zeros({3, 2}, at::kDouble), some.unsqueeze(1)), {3, 3}, {2});
  const MultivariateNormal law(at::zeros({3, 2}, at::kDouble), some.unsqueeze(1));
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({3, 3, 2}));
  EXPECT_EQ(law.variance().sizes(), at::IntArrayRef({3, 3, 2}));
  EXPECT_EQ(law.entropy().sizes(), at::IntArrayRef({3, 3}));
  EXPECT_EQ(law.covariance_matrix().sizes(), at::IntArrayRef({3, 3, 2, 2}));
  EXPECT_EQ(law.log_prob(at::zeros({2}, at::kDouble)).sizes(), at::IntArrayRef({3, 3}));
  // Each place of the batch has its own matrix.
  const auto x = law.sample(Noise(3), {5});
  const MultivariateNormal second(at::zeros({2}, at::kDouble), 2 * lower);
  EXPECT_LE(deviation(law.log_prob(x).select(1, 1), second.log_prob(x.select(1, 1))), 1e-13);
}

TEST(MultivariateNormal, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {
      values({0.3, -1, 2, 0.5, 1.5, -0.2}, {3, 2}), values({1, -2}, {2}),
      values({0.3, 9, -1.5, -0.4, 0.1, 9, 0.7, 0.2, -0.6, 9, 1, 0.5}, {3, 2, 2})};
  const auto law = [](const auto& in) { return MultivariateNormal(in[1], tril_of(in[2])); };
  const auto product = [](const at::Tensor& l) { return l.matmul(l.transpose(-2, -1)); };
  expect_gradients(
      {[&](const auto& in) { return law(in).log_prob(in[0]); },
       [&](const auto& in) { return law(in).rsample(Noise(2), {4}); },
       [&](const auto& in) { return law(in).entropy(); },
       [&](const auto& in) { return law(in).variance(); },
       [&](const auto& in) { return law(in).precision_matrix(); },
       [&](const auto& in) {
         const auto made = MultivariateNormal::from_covariance(in[1], product(tril_of(in[2])));
         return made.log_prob(in[0]) + made.rsample(Noise(2)).sum(-1);
       },
       [&](const auto& in) {
         const auto made = MultivariateNormal::from_precision(in[1], product(tril_of(in[2])));
         return made.log_prob(in[0]) + made.rsample(Noise(2)).sum(-1);
       }},
      inputs);
}

TEST(MultivariateNormal, DrawsHaveItsMomentsAndEntropy) {
  const auto law = example();
  expect_moments(law);
  expect_entropy(law);
  const auto x = law.sample(Noise(9).draws(kMomentDraws), {kMomentDraws}) - law.loc();
  EXPECT_LE(estimate(x.select(1, 0) * x.select(1, 1)).z(-3), kZStar) << "covariance 2 * -1.5";
}

TEST(MultivariateNormal, OfManyRowsUnderManyLawsIsEachAlone) {
  const auto kWide = at::TensorOptions(at::kDouble);
  const auto x = Noise(1).normal({40, 3}, kWide);
  const auto loc = Noise(2).normal({2, 3}, kWide);
  const auto root = at::eye(3, kWide) + 0.4 * Noise(3).normal({2, 3, 3}, kWide).tril(-1);
  const MultivariateNormal laws(loc.view({2, 1, 3}), root.view({2, 1, 3, 3}));
  const auto repeated = laws.expand({2, 40});
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const MultivariateNormal cast(loc.to(dtype).view({2, 1, 3}), root.to(dtype).view({2, 1, 3, 3}));
    const auto found = cast.log_prob(x.to(dtype));
    ASSERT_EQ(found.sizes(), at::IntArrayRef({2, 40}));
    EXPECT_EQ(found.scalar_type(), dtype);
    for (int64_t k = 0; k < 2; ++k)
      for (int64_t m = 0; m < 40; ++m)
        EXPECT_NEAR(found[k][m].item<double>(),
                    MultivariateNormal(loc[k], root[k]).log_prob(x[m]).item<double>(),
                    dtype == at::kDouble ? 1e-12 : 1e-4);
  }
  EXPECT_TRUE(repeated->log_prob(x).equal(laws.log_prob(x)));
  // With a gradient to follow, the same numbers by other operations.
  const auto moving = loc.view({2, 1, 3}).clone().set_requires_grad(true);
  const auto followed = MultivariateNormal(moving, root.view({2, 1, 3, 3})).log_prob(x);
  EXPECT_TRUE(followed.requires_grad());
  EXPECT_TRUE(at::allclose(followed.detach(), laws.log_prob(x), 1e-12, 1e-12));
}

}  // namespace
}  // namespace elbo
