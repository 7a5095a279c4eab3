#include "elbo/distributions/one_hot_categorical.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

TEST(OneHotCategorical, AgreesWithTheTable) {
  expect_multivariate_table("OneHotCategorical", [](const json& p, at::ScalarType type) {
    return OneHotCategorical(tensor_of(p["probs"], type)).clone();
  });
  expect_multivariate_table("OneHotCategorical", [](const json& p, at::ScalarType type) {
    return OneHotCategorical::from_logits(tensor_of(p["probs"], type).log() + 2).clone();
  });
}

TEST(OneHotCategorical, RejectsInvalidParameters) {
  expect_domain_error(
      [] {
        OneHotCategorical{values({0.5, -0.5, 1}, {3})};
      },
      "OneHotCategorical: probs must be >= 0, got -0.5 at [1]");
  expect_domain_error(
      [] {
        OneHotCategorical{values({1, 1, 0, 0}, {2, 2})};
      },
      "OneHotCategorical: the sum of probs must be > 0 and finite, got 0 at [1]");
  expect_domain_error(
      [] {
        (void)OneHotCategorical::from_logits(values({1, NAN}, {2}));
      },
      "OneHotCategorical: logits must be < inf, got nan at [1]");
  expect_domain_error([] { (void)OneHotCategorical::from_logits(values({-INFINITY}, {1})); },
                      "OneHotCategorical: the largest of logits must be > -inf, got -inf");
  EXPECT_THROW(OneHotCategorical{scalar(1)}, ShapeError);
  EXPECT_THROW((void)OneHotCategorical::from_logits(scalar(1)), ShapeError);
  EXPECT_THROW((void)OneHotCategorical(values({1}, {1})).rsample(Noise(1)), UnsupportedError);
}

TEST(OneHotCategorical, HasShapesSampleBatchEvent) {
  expect_shapes(OneHotCategorical(values({1, 2, 3, 4, 5, 6}, {6})), {}, {6});
  const OneHotCategorical law(at::ones({4, 3, 5}, at::kDouble));
  expect_shapes(law, {4, 3}, {5});
  EXPECT_TRUE(law.is_discrete());
  EXPECT_FALSE(law.has_rsample());
  EXPECT_EQ(law.num_categories(), 5);
  EXPECT_EQ(law.log_prob(at::eye(5, at::kDouble)[2]).sizes(), at::IntArrayRef({4, 3}));
}

TEST(OneHotCategorical, DrawsAreThoseOfCategorical) {
  const auto probs = values({1, 2, 0, 4, 2, 1}, {2, 3});
  const auto x = OneHotCategorical(probs).sample(Noise(1), {100});
  EXPECT_TRUE(x.argmax(-1).equal(Categorical(probs).sample(Noise(1), {100})));
}

TEST(OneHotCategorical, DrawsHaveItsMoments) {
  const OneHotCategorical law(values({1, 2, 0, 4}, {4}));
  expect_moments(law);
  expect_entropy(law);
}

TEST(OneHotCategorical, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({0.2, 0.5, 1.3, 2.0, 0.1, 0.4}, {2, 3})};
  const auto x = at::eye(3, at::kDouble).narrow(0, 1, 2);
  expect_gradients(
      {[&](const auto& in) { return OneHotCategorical(in[0]).log_prob(x); },
       [&](const auto& in) { return OneHotCategorical(in[0]).entropy(); },
       [&](const auto& in) { return OneHotCategorical(in[0]).variance(); },
       [&](const auto& in) { return OneHotCategorical::from_logits(in[0]).log_prob(x); }},
      inputs);
  const auto p = values({0, 1, 2}, {3}).requires_grad_();
  OneHotCategorical(p).log_prob(at::eye(3, at::kDouble)[1]).backward();
  EXPECT_TRUE(p.grad().isfinite().all().item<bool>()) << "a probability of 0 does no harm";
}

}  // namespace
}  // namespace elbo
