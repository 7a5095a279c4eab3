#include "elbo/evaluation/annealed_importance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

const Batch kBatch = batch_of(at::tensor({1.3, -0.4}, at::kDouble));
const at::Tensor kTruth = at::tensor({toy_evidence(1.3), toy_evidence(-0.4)}, at::kDouble);

Program posterior() {
  return [](Trace& trace, const Batch& rows) {
    toy_guide(rows["x"] / 2, std::sqrt(0.5) * one())(trace, rows);
  };
}

TEST(AnnealedEvidence, IsExactWhereItStartsAtThePosterior) {
  for (const int64_t temperatures : {1, 2, 7}) {
    const auto found = annealed_evidence(toy_model, posterior(), kBatch, Noise(3),
                                         {.chains = 4, .temperatures = temperatures});
    EXPECT_TRUE(found.evidence.rows.allclose(kTruth, 0, 1e-12)) << temperatures;
    EXPECT_LT(found.evidence.standard_error.max().item<double>(), 1e-12);
  }
}

TEST(AnnealedEvidence, OfOneTemperatureIsImportanceSampling) {
  const auto guide = toy_guide(0.2 * one(), 0.9 * one());
  const auto found =
      annealed_evidence(toy_model, guide, kBatch, Noise(3), {.chains = 5, .temperatures = 1});
  const auto z =
      Trace::run(guide, kBatch, Noise(3).site("start"), {.num_particles = 5}).at("z").value;
  const auto log_weight = Normal::standard({}, at::kDouble).log_prob(z) +
                          Normal(z, one()).log_prob(kBatch["x"]) -
                          Normal(0.2 * one(), 0.9 * one()).log_prob(z);
  EXPECT_TRUE(found.evidence.rows.allclose(log_weight.logsumexp(0) - std::log(5), 0, 1e-12));
}

TEST(AnnealedEvidence, DoesNotDependOnTheBatchARowIsIn) {
  const AnnealedOptions options{.from = AnnealFrom::kPrior, .chains = 3, .temperatures = 5};
  const auto guide = toy_guide(0.2 * one(), 0.9 * one());
  const auto both = annealed_evidence(toy_model, guide, kBatch, Noise(3), options);
  const auto last = subset(kBatch, at::tensor({1}, at::kLong));
  const auto alone = annealed_evidence(toy_model, guide, last, Noise(3), options);
  EXPECT_NEAR(both.evidence.rows[1].item<double>(), alone.evidence.rows[0].item<double>(), 1e-10);
}

TEST(AnnealedEvidence, KeepsTheAcceptanceItIsAskedFor) {
  const auto found = annealed_evidence(toy_model, posterior(), kBatch, Noise(3),
                                       {.from = AnnealFrom::kPrior, .chains = 50});
  EXPECT_NEAR(found.acceptance.mean().item<double>(), 0.8, 0.15);
}

/// Two latents of positive scale or none, in this order.
Program pair(bool positive_first, double x_scale = 0) {
  return [=](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    const auto positive = [&] { return trace.sample("a", Gamma(2 * one(), one())); };
    const auto real = [&] { return trace.sample("b", Normal::standard({}, at::kDouble)); };
    at::Tensor a, b;
    if (positive_first) a = positive();
    b = real();
    if (!positive_first) a = positive();
    if (x_scale > 0) trace.observe("x", Normal(a + b, x_scale * one()), rows["x"]);
  };
}

TEST(AnnealedEvidence, TakesConstrainedLatents) {
  // p(x) = int Gamma(a; 2, 1) N(x; a, 2) da, by the trapezoidal rule.
  const auto a = at::linspace(0, 60, 600'001, at::kDouble).narrow(0, 1, 600'000);
  const auto density =
      Gamma(2 * one(), one()).log_prob(a) + Normal(a, std::sqrt(2.0) * one()).log_prob(1.3 * one());
  const double truth = std::log(density.exp().sum().item<double>() * 1e-4);
  for (const auto from : {AnnealFrom::kGuide, AnnealFrom::kPrior}) {
    const auto found = annealed_evidence(pair(true, 1), pair(true), kBatch, Noise(3),
                                         {.from = from, .chains = 400, .temperatures = 30});
    const double error = found.evidence.standard_error[0].item<double>();
    EXPECT_LT(error, 0.05);
    EXPECT_LE(std::abs(found.evidence.rows[0].item<double>() - truth), 6.11 * error);
  }
}

TEST(AnnealedEvidence, RejectsAGuideInAnotherOrder) {
  EXPECT_THROW((void)annealed_evidence(pair(true, 1), pair(false), kBatch, Noise(3)), SiteError);
  EXPECT_NO_THROW(
      (void)annealed_evidence(pair(true, 1), pair(false), kBatch, Noise(3),
                              {.from = AnnealFrom::kPrior, .chains = 2, .temperatures = 2}));
}

TEST(BidirectionalEvidence, IsExactWhereItStartsAtThePosterior) {
  const auto both = bidirectional_evidence(toy_model, posterior(), kBatch, Noise(3),
                                           {.chains = 4, .temperatures = 6});
  ASSERT_EQ(both.batch["x"].sizes(), at::IntArrayRef({2}));
  EXPECT_FALSE(both.batch["x"].equal(kBatch["x"])) << "it simulates x";
  for (int64_t row = 0; row < 2; ++row) {
    const double truth = toy_evidence(both.batch["x"][row].item<double>());
    EXPECT_NEAR(both.lower.rows[row].item<double>(), truth, 1e-12);
    EXPECT_NEAR(both.upper.rows[row].item<double>(), truth, 1e-12);
  }
}

TEST(AnnealedEvidence, RejectsInvalidOptions) {
  const auto run = [](const AnnealedOptions& options) {
    (void)annealed_evidence(toy_model, posterior(), kBatch, Noise(3), options);
  };
  EXPECT_THROW(run({.chains = 1}), ConfigError);
  EXPECT_THROW(run({.temperatures = 0}), ConfigError);
  EXPECT_THROW(run({.leapfrog_steps = 0}), ConfigError);
  EXPECT_THROW(run({.target_acceptance = 1}), ConfigError);
}

}  // namespace
}  // namespace elbo
