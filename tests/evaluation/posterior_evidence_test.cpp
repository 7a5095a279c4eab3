#include "elbo/evaluation/posterior_evidence.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

const Batch kBatch = batch_of(at::tensor({1.3, -0.4}, at::kDouble));

TEST(HarmonicMean, IsTheMeanOfTheRatioWithBatchMeans) {
  // One chain of 4: batches of 2 with means 1.5 and 3.5.
  const auto ratio = at::tensor({1.0, 2.0, 3.0, 4.0}, at::kDouble).view({4, 1, 1});
  const auto found = harmonic_mean(ratio.log() + 700);
  EXPECT_NEAR(found.rows.item<double>(), -700 - std::log(2.5), 1e-12);
  EXPECT_NEAR(found.standard_error.item<double>(), 1 / 2.5,
              1e-12);  // (2 / 2^(1/2)) / 2^(1/2) / 2.5
}

TEST(PosteriorEvidence, FindsTheEvidenceOfToyG) {
  const auto found = posterior_evidence(toy_model, toy_guide(one(), one()), kBatch, Noise(3));
  for (const auto* fit : {&found.gaussian, &found.kernel})
    for (int64_t row = 0; row < 2; ++row)
      EXPECT_NEAR(fit->rows[row].item<double>(), toy_evidence(kBatch["x"][row].item<double>()),
                  0.1);
  EXPECT_EQ(found.dim, 1);
  EXPECT_FALSE(found.high_dimensional());
  EXPECT_EQ(found.divergences, 0);
  EXPECT_NEAR(found.acceptance.mean().item<double>(), 0.9, 0.09);
}

/// z ~ N(0, 10^2) and |z| seen as 9 within 0.1: two modes that chains do not leave, of which a
/// second observation gives one 999 times the mass of the other. Both together have the density of
/// N(0, 10^2 + 0.1^2) at 9.
TEST(PosteriorEvidence, CandidatesStartTheChainsWhereTheMassIs) {
  const auto prior = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", Normal(0 * one(), 10 * one()));
  };
  const auto model = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    const auto z = trace.sample("z", Normal(0 * one(), 10 * one()));
    trace.observe("distance", Normal(z.abs(), 0.1 * one()), at::full({2}, 9, at::kDouble));
    trace.observe("side", Bernoulli(at::where(z < 0, 0.999 * one(), 0.001 * one())),
                  at::ones({2}, at::kDouble));
  };
  const auto error = [&](int64_t candidates) {
    const auto found = posterior_evidence(
        model, prior, kBatch, Noise(3),
        {.chains = 4, .draws = 100, .warm_up = 60, .candidates = candidates, .kernel = false});
    return (found.gaussian.rows - log_normal(9, 0, 100.01)).abs().max().item<double>();
  };
  EXPECT_LT(error(400), 0.1);
  EXPECT_GT(error(1), 0.5) << "chains that begin in either mode";
}

TEST(PosteriorEvidence, LeavesTheKernelFitOut) {
  const auto found = posterior_evidence(toy_model, toy_guide(one(), one()), kBatch, Noise(3),
                                        {.chains = 2, .draws = 20, .warm_up = 5, .kernel = false});
  EXPECT_TRUE(found.gaussian.rows.defined());
  EXPECT_FALSE(found.kernel.rows.defined());
}

TEST(PosteriorEvidence, SaysWhereItIsNotGood) {
  const auto of = [](int64_t dim) {
    const auto z = [dim](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      return trace.sample("z", Normal::standard({dim}, at::kDouble).to_event(1));
    };
    const auto model = [z](Trace& trace, const Batch& rows) {
      const auto mean = z(trace, rows).sum(-1);
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      trace.observe("x", Normal(mean, one()), rows["x"]);
    };
    const auto guide = [z](Trace& trace, const Batch& rows) { (void)z(trace, rows); };
    return posterior_evidence(model, guide, kBatch, Noise(3),
                              {.chains = 2, .draws = 40, .warm_up = 5, .kernel = false})
        .high_dimensional();
  };
  EXPECT_FALSE(of(5));
  EXPECT_TRUE(of(6));
}

TEST(PosteriorEvidence, RejectsInvalidOptions) {
  const auto run = [](const PosteriorEvidenceOptions& options) {
    (void)posterior_evidence(toy_model, toy_guide(one(), one()), kBatch, Noise(3), options);
  };
  EXPECT_THROW(run({.chains = 3}), ConfigError);
  EXPECT_THROW(run({.draws = 3}), ConfigError);
  EXPECT_THROW(run({.warm_up = -1}), ConfigError);
  EXPECT_THROW(run({.candidates = 0}), ConfigError);
  EXPECT_THROW(run({.hmc = {.leapfrog_steps = 0}}), ConfigError);
}

}  // namespace
}  // namespace elbo
