#include "elbo/distributions/multivariate_student_t.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

const at::Tensor kLoc = values({1, -2}, {2});
const at::Tensor kLower = values({2, 0, -1.5, 0.5}, {2, 2});

TEST(MultivariateStudentT, AgreesWithTheTable) {
  expect_multivariate_table("MultivariateStudentT", [](const json& p, at::ScalarType type) {
    return MultivariateStudentT(tensor_of(p["df"], type), tensor_of(p["loc"], type),
                                tensor_of(p["scale_tril"], type))
        .clone();
  });
}

TEST(MultivariateStudentT, RejectsInvalidParameters) {
  expect_domain_error(
      [] {
        MultivariateStudentT(values({3, 0}, {2}), kLoc, kLower);
      },
      "MultivariateStudentT: df must be > 0, got 0 at [1]");
  expect_domain_error(
      [] { MultivariateStudentT(scalar(3), kLoc, -kLower); },
      "MultivariateStudentT: the diagonal of scale_tril must be > 0, got -2 at [0]");
  EXPECT_NO_THROW(MultivariateStudentT(scalar(-3), kLoc, kLower, Validate::kNo));
  EXPECT_THROW(MultivariateStudentT(scalar(3), kLoc, at::eye(3, at::kDouble)), ShapeError);
  EXPECT_THROW(MultivariateStudentT(at::ones({3}), at::zeros({2, 2}), at::eye(2)), ShapeError);
}

TEST(MultivariateStudentT, HasShapesSampleBatchEvent) {
  expect_shapes(MultivariateStudentT(scalar(3), kLoc, kLower), {}, {2});
  const MultivariateStudentT law(values({3, 4, 0.5}, {3}), at::zeros({4, 1, 2}, at::kDouble),
                                 kLower);
  expect_shapes(law, {4, 3}, {2});
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({4, 3, 2}));
  EXPECT_TRUE(law.mean()[0][2].isnan().all().item<bool>()) << "no mean at df = 1/2";
  EXPECT_EQ(law.variance().sizes(), at::IntArrayRef({4, 3, 2}));
  EXPECT_EQ(law.entropy().sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(MultivariateStudentT(at::ones({}), kLoc, kLower.to(at::kFloat)).loc().dtype(),
            at::kDouble);
}

TEST(MultivariateStudentT, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({0.3, -1, 2, 0.5, 1.5, -0.2}, {3, 2}), kLoc,
                                          values({0.3, 9, -1.5, -0.4}, {2, 2}),
                                          values({0.7, 3, 50}, {3})};
  const auto law = [](const auto& in) {
    return MultivariateStudentT(in[3], in[1], tril_of(in[2]));
  };
  expect_gradients({[&](const auto& in) { return law(in).log_prob(in[0]); },
                    [&](const auto& in) {  // by df the gradient is implicit: see below
                      return MultivariateStudentT(in[3].detach() * 0 + 3, in[1], tril_of(in[2]))
                          .rsample(Noise(2), {4});
                    },
                    [&](const auto& in) { return law(in).entropy(); }},
                   inputs);
}

TEST(MultivariateStudentT, DrawsHaveItsMomentsAndEntropy) {
  expect_moments(MultivariateStudentT(scalar(12), kLoc, kLower));
  expect_entropy(MultivariateStudentT(scalar(1), kLoc, kLower));
  expect_entropy(MultivariateStudentT(scalar(0.3), kLoc, kLower));
}

TEST(MultivariateStudentT, GradientByDfIsThatOfTheExpectation) {
  // E[x_1^2] = df / (df - 2), whose slope is -2 / (df - 2)^2.
  const auto df = at::full({kMomentDraws}, 12, at::kDouble).requires_grad_();
  const MultivariateStudentT law(df, at::zeros({2}, at::kDouble), at::eye(2, at::kDouble));
  law.rsample(Noise(5).draws(kMomentDraws)).select(1, 0).square().sum().backward();
  const auto slope = estimate(df.grad());
  EXPECT_LE(slope.z(-2.0 / 100), kZStar);
  EXPECT_GT(slope.z(-2.5 / 100), kZStar) << "planted";
}

}  // namespace
}  // namespace elbo
