#include "elbo/distributions/categorical.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

TEST(Categorical, AgreesWithTheTable) {
  expect_multivariate_table("Categorical", [](const json& p, at::ScalarType type) {
    return Categorical(tensor_of(p["probs"], type)).clone();
  });
  expect_multivariate_table("Categorical", [](const json& p, at::ScalarType type) {
    return Categorical::from_logits(tensor_of(p["probs"], type).log() + 3).clone();
  });
}

TEST(Categorical, RejectsInvalidParameters) {
  const auto negative = at::tensor({0.5, -0.5, 1.0}, at::kDouble);
  expect_domain_error([&] { Categorical{negative}; },
                      "Categorical: probs must be >= 0, got -0.5 at [1]");
  const auto empty_row = at::tensor({0.5, 0.5, 0.0, 0.0}, at::kDouble).view({2, 2});
  expect_domain_error([&] { Categorical{empty_row}; },
                      "Categorical: the sum of probs must be > 0, got 0 at [1]");
  EXPECT_THROW(Categorical(scalar(1)), ShapeError);
  EXPECT_THROW((void)Categorical::from_logits(scalar(1)), ShapeError);
}

TEST(Categorical, HasShapesSampleBatchEvent) {
  const Categorical law(at::ones({4, 3, 5}, at::kDouble));
  EXPECT_EQ(law.batch_shape(), (std::vector<int64_t>{4, 3}));
  EXPECT_TRUE(law.event_shape().empty());
  EXPECT_EQ(law.num_categories(), 5);
  const auto x = law.sample(Noise(1), {2});
  EXPECT_EQ(x.sizes(), at::IntArrayRef({2, 4, 3}));
  EXPECT_EQ(x.scalar_type(), at::kLong);
  EXPECT_EQ(law.log_prob(x).sizes(), at::IntArrayRef({2, 4, 3}));
  EXPECT_EQ(law.log_prob(at::zeros({3}, at::kLong)).sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(law.expand({6, 4, 3})->batch_shape(), (std::vector<int64_t>{6, 4, 3}));
  EXPECT_TRUE(law.is_discrete());
  EXPECT_FALSE(law.has_rsample());
  EXPECT_THROW((void)law.mean(), Error);
}

TEST(Categorical, HasNoMassBesideItsCategories) {
  const Categorical law(at::tensor({0.25, 0.75}, at::kDouble));
  const auto x = at::tensor({-1.0, 0.5, 2.0}, at::kDouble);
  EXPECT_TRUE(law.log_prob(x).isneginf().all().item<bool>());
  EXPECT_TRUE(law.log_prob(x.to(at::kLong))
                  .eq(at::tensor({-INFINITY, std::log(0.25), -INFINITY}))
                  .all()
                  .item<bool>());
}

TEST(Categorical, NeverDrawsTheImpossible) {
  const Categorical law(at::tensor({0.0, 0.5, 0.0, 0.5, 0.0}, at::kDouble));
  const auto counts = law.sample(Noise(3), {100000}).bincount({}, 5);
  EXPECT_EQ(counts[0].item<int64_t>(), 0);
  EXPECT_EQ(counts[2].item<int64_t>(), 0);
  EXPECT_EQ(counts[4].item<int64_t>(), 0);
}

TEST(Categorical, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {
      at::tensor({0.2, 0.5, 1.3, 2.0, 0.1, 0.4}, at::kDouble).view({2, 3})};
  const auto x = at::tensor({2, 0}, at::kLong);
  const TensorFunction functions[] = {
      [&](const auto& in) { return Categorical(in[0]).log_prob(x); },
      [&](const auto& in) { return Categorical(in[0]).cdf(x); },
      [&](const auto& in) { return Categorical(in[0]).log_cdf(x); },
      [&](const auto& in) { return Categorical(in[0]).log_survival(x - 1); },
      [&](const auto& in) { return Categorical(in[0]).entropy(); },
      [&](const auto& in) { return Categorical::from_logits(in[0]).log_prob(x); },
      [&](const auto& in) { return Categorical::from_logits(in[0]).entropy(); },
  };
  for (const auto& f : functions) EXPECT_LE(gradient_error(f, inputs), kGradientTolerance);
}

}  // namespace
}  // namespace elbo
