#include "elbo/distributions/relaxed_bernoulli.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

TEST(RelaxedBernoulli, AgreesWithTheTable) {
  expect_multivariate_table("RelaxedBernoulli", [](const json& p, at::ScalarType type) {
    return RelaxedBernoulli(tensor_of(p["temperature"], type), tensor_of(p["probs"], type)).clone();
  });
  for (const json& row : multivariate_fixtures().at("RelaxedBernoulli")) {
    const auto temperature = tensor_of(row["params"]["temperature"]);
    const RelaxedBernoulli law(temperature, tensor_of(row["params"]["probs"]));
    for (const json& point : row.at("cdf")) {
      const auto x = tensor_of(point["x"]);
      EXPECT_LE(deviation(law.cdf(x), tensor_of(point["cdf"])), kTableTolerance) << row["params"];
      EXPECT_LE(deviation(law.log_cdf(x), tensor_of(point["log_cdf"])), kTableTolerance);
      EXPECT_LE(deviation(law.log_survival(x), tensor_of(point["log_survival"])), kTableTolerance);
    }
    const auto u = values({1e-9, 0.01, 0.3, 0.5, 0.8, 0.999}, {6});
    const auto x = law.icdf(u);
    const auto off = (x > 0).logical_and(x < 0.99).to(at::kDouble) * (law.cdf(x) - u);
    EXPECT_LE(off.abs().max().item<double>(), 1e-10);
  }
}

TEST(RelaxedBernoulli, RejectsInvalidParameters) {
  expect_domain_error([] { RelaxedBernoulli(scalar(0), scalar(0.5)); },
                      "RelaxedBernoulli: temperature must be > 0, got 0");
  expect_domain_error(
      [] {
        RelaxedBernoulli(scalar(1), values({0.5, 1}, {2}));
      },
      "RelaxedBernoulli: probs must be in (0, 1), got 1 at [1]");
  expect_domain_error([] { (void)RelaxedBernoulli::from_logits(scalar(1), scalar(INFINITY)); },
                      "RelaxedBernoulli: logits must be finite, got inf");
  EXPECT_NO_THROW(RelaxedBernoulli(scalar(-1), scalar(0.5), Validate::kNo));
  EXPECT_THROW(RelaxedBernoulli(at::ones({3}), at::full({2}, 0.5)), ShapeError);
  EXPECT_THROW((void)RelaxedBernoulli(scalar(1), scalar(0.5)).mean(), UnsupportedError);
}

TEST(RelaxedBernoulli, HasShapesSampleBatchEvent) {
  expect_shapes(RelaxedBernoulli(scalar(0.5), scalar(0.3)), {}, {});
  expect_shapes(RelaxedBernoulli(values({0.5, 1, 2}, {3}), at::full({4, 1}, 0.2, at::kDouble)),
                {4, 3}, {});
  const auto law = RelaxedBernoulli::from_logits(at::ones({}), at::zeros({2}, at::kDouble));
  EXPECT_EQ(law.sample(Noise(1)).scalar_type(), at::kDouble);
  EXPECT_TRUE(law.probs().equal(at::full({2}, 0.5, at::kDouble)));
}

TEST(RelaxedBernoulli, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({-2, 0.3, 1.5}, {3}), values({0.3, 1, 2}, {3}),
                                          values({0.5, -1, 3}, {3})};
  const auto law = [](const auto& in) { return RelaxedBernoulli::from_logits(in[1], in[2]); };
  const auto x = [](const auto& in) { return in[0].sigmoid(); };
  expect_gradients(
      {[&](const auto& in) { return law(in).log_prob(x(in)); },
       [&](const auto& in) { return law(in).log_prob_of_logit(in[0]); },
       [&](const auto& in) { return law(in).rsample(Noise(2), {4}); },
       [&](const auto& in) { return law(in).rsample_logit(Noise(2), {4}); },
       [&](const auto& in) { return law(in).log_cdf(x(in)); },
       [&](const auto& in) { return law(in).log_survival(x(in)); },
       [&](const auto& in) { return law(in).icdf(x(in)); },
       [&](const auto& in) { return RelaxedBernoulli(in[1], in[2].sigmoid()).log_prob(x(in)); }},
      inputs);
}

TEST(RelaxedBernoulli, LogitsAreThoseOfTheDraws) {
  const RelaxedBernoulli law(scalar(0.7), scalar(0.2));
  const auto y = law.rsample_logit(Noise(1), {50});
  const auto x = law.rsample(Noise(1), {50});
  EXPECT_LE(deviation(x, y.sigmoid()), 1e-15);
  EXPECT_LE(deviation(law.log_prob(x) + (x * (1 - x)).log(), law.log_prob_of_logit(y)), 1e-10);
}

TEST(RelaxedBernoulli, DrawsFollowTheCdf) {
  for (const auto& [t, p] : {std::pair{0.5, 0.3}, {2.0, 0.9}}) {
    const RelaxedBernoulli law(scalar(t), scalar(p));
    const auto x = law.sample(Noise(5).draws(kKsDraws), {kKsDraws});
    EXPECT_LE(ks_distance(law.cdf(x)), kKsLimit);
    EXPECT_GT(ks_distance(RelaxedBernoulli(scalar(t), scalar(p + 0.01)).cdf(x)), kKsLimit);
    EXPECT_GT(ks_distance(RelaxedBernoulli(scalar(1.04 * t), scalar(p)).cdf(x)), kKsLimit);
  }
}

TEST(RelaxedBernoulli, ColdDrawsStayInside) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const RelaxedBernoulli law(at::full({}, 1e-3, type), at::full({}, 0.5, type));
    const auto x = law.sample(Noise(5), {1000});
    EXPECT_TRUE((x > 0).logical_and(x < 1).all().item<bool>());
    EXPECT_TRUE(law.log_prob(x).isfinite().all().item<bool>());
    EXPECT_TRUE(
        law.log_prob_of_logit(law.rsample_logit(Noise(5), {1000})).isfinite().all().item<bool>());
  }
}

}  // namespace
}  // namespace elbo
