#include "elbo/distributions/relaxed_one_hot_categorical.h"

#include "distributions/multivariate.h"
#include "elbo/distributions/relaxed_bernoulli.h"

namespace elbo {
namespace {

using namespace testing;

TEST(RelaxedOneHotCategorical, AgreesWithTheTable) {
  expect_multivariate_table("RelaxedOneHotCategorical", [](const json& p, at::ScalarType type) {
    return RelaxedOneHotCategorical(tensor_of(p["temperature"], type), tensor_of(p["probs"], type))
        .clone();
  });
}

TEST(RelaxedOneHotCategorical, OfTwoCategoriesIsRelaxedBernoulli) {
  const RelaxedOneHotCategorical two(scalar(0.6), values({3, 7}, {2}));
  const RelaxedBernoulli one(scalar(0.6), scalar(0.3));
  const auto x = one.sample(Noise(1), {100});
  EXPECT_LE(deviation(two.log_prob(at::stack({x, 1 - x}, -1)), one.log_prob(x)), 1e-8);
}

TEST(RelaxedOneHotCategorical, RejectsInvalidParameters) {
  const auto probs = values({0.5, 0.5}, {2});
  expect_domain_error(
      [&] {
        RelaxedOneHotCategorical(values({1, -1}, {2}), probs);
      },
      "RelaxedOneHotCategorical: temperature must be > 0, got -1 at [1]");
  expect_domain_error(
      [&] {
        RelaxedOneHotCategorical(scalar(1), values({1, 0}, {2}));
      },
      "RelaxedOneHotCategorical: probs must be > 0, got 0 at [1]");
  expect_domain_error(
      [&] { (void)RelaxedOneHotCategorical::from_logits(scalar(1), probs * -INFINITY); },
      "RelaxedOneHotCategorical: logits must be finite, got -inf at [0]");
  EXPECT_THROW(RelaxedOneHotCategorical(scalar(1), scalar(1)), ShapeError);
  EXPECT_THROW(RelaxedOneHotCategorical(at::ones({3}), at::ones({2, 4})), ShapeError);
  EXPECT_THROW((void)RelaxedOneHotCategorical(scalar(1), probs).entropy(), UnsupportedError);
}

TEST(RelaxedOneHotCategorical, HasShapesSampleBatchEvent) {
  expect_shapes(RelaxedOneHotCategorical(scalar(0.5), values({1, 2, 3}, {3})), {}, {3});
  expect_shapes(
      RelaxedOneHotCategorical(values({0.5, 1, 2}, {3}), at::ones({4, 1, 5}, at::kDouble)), {4, 3},
      {5});
}

TEST(RelaxedOneHotCategorical, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({0.3, -1, 2, 0.5, 1.5, -0.2}, {2, 3}),
                                          values({0.4, 2}, {2}), values({1, -0.5, 0.2}, {3})};
  const auto law = [](const auto& in) {
    return RelaxedOneHotCategorical::from_logits(in[1], in[2]);
  };
  expect_gradients(
      {[&](const auto& in) { return law(in).log_prob(in[0].softmax(-1)); },
       [&](const auto& in) { return law(in).log_prob_of_log(in[0].log_softmax(-1)); },
       [&](const auto& in) { return law(in).rsample(Noise(2), {4}); },
       [&](const auto& in) { return law(in).rsample_log(Noise(2), {4}); },
       [&](const auto& in) {
         return RelaxedOneHotCategorical(in[1], in[2].exp()).log_prob(in[0].softmax(-1));
       }},
      inputs);
}

TEST(RelaxedOneHotCategorical, LogarithmsAreThoseOfTheDraws) {
  const RelaxedOneHotCategorical law(scalar(0.7), values({1, 2, 5}, {3}));
  const auto y = law.rsample_log(Noise(1), {50});
  const auto x = law.rsample(Noise(1), {50});
  EXPECT_LE(deviation(x, y.exp()), 1e-15);
  EXPECT_LE(deviation(law.log_prob(x) + y.sum(-1), law.log_prob_of_log(y)), 1e-10);
}

TEST(RelaxedOneHotCategorical, DrawsFollowTheDensity) {
  // The largest coordinate is that of the categorical law (Maddison et al. 2017, proposition 1b).
  const auto probs = values({1, 2, 5}, {3});
  const RelaxedOneHotCategorical law(scalar(0.7), probs);
  const auto x = law.sample(Noise(4).draws(kMomentDraws), {kMomentDraws});
  const auto largest = x.argmax(-1);
  for (int64_t k = 0; k < 3; ++k)
    EXPECT_LE(estimate(largest.eq(k).to(at::kDouble)).z(law.probs()[k].item<double>()), kZStar);
  // E[r / p] = 1 for any law r on the simplex: here the uniform one, and a relaxed one.
  const RelaxedOneHotCategorical other(scalar(1), values({2, 2, 3}, {3}));
  const auto weights = (other.log_prob(x) - law.log_prob(x)).exp();
  EXPECT_LE(estimate(weights).z(1), kZStar);
  const auto planted = (other.log_prob(x) - law.log_prob(x) + 0.1).exp();
  EXPECT_GT(estimate(planted).z(1), kZStar);
  // log x_0 - log x_1 is logistic about (log p_0 - log p_1) / temperature.
  const RelaxedBernoulli pair(scalar(0.7), scalar(1.0 / 3));
  const auto y = law.rsample_log(Noise(4).draws(kKsDraws), {kKsDraws});
  EXPECT_LE(ks_distance(pair.cdf((y.select(1, 0) - y.select(1, 1)).sigmoid())), kKsLimit);
}

TEST(RelaxedOneHotCategorical, ColdDrawsStayInside) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const RelaxedOneHotCategorical law(at::full({}, 1e-2, type), at::ones({4}, type));
    const auto x = law.sample(Noise(5), {1000});
    EXPECT_TRUE((x > 0).all().item<bool>());
    EXPECT_TRUE(law.log_prob(x).isfinite().all().item<bool>());
    EXPECT_TRUE(
        law.log_prob_of_log(law.rsample_log(Noise(5), {1000})).isfinite().all().item<bool>());
  }
}

}  // namespace
}  // namespace elbo
