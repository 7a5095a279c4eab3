#include "elbo/evaluation/importance_sampling.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

const Batch kBatch = batch_of(at::tensor({1.3, -0.4}, at::kDouble));

TEST(ImportanceEvidence, IsExactWhereTheGuideIsThePosterior) {
  const auto guide = toy_guide(kBatch["x"] / 2, std::sqrt(0.5) * one());
  for (const int64_t draws : {2, 50, 51, 130}) {
    const auto found = importance_evidence(toy_model, guide, kBatch, Noise(3), draws);
    EXPECT_NEAR(found.rows[0].item<double>(), toy_evidence(1.3), 1e-12) << draws;
    EXPECT_NEAR(found.rows[1].item<double>(), toy_evidence(-0.4), 1e-12) << draws;
    EXPECT_LT(found.standard_error.max().item<double>(), 1e-12);
  }
}

TEST(ImportanceEvidence, IsWithinItsErrorOtherwise) {  // n = 1e5: sees 0.02 nats
  const auto guide = toy_guide(0.2 * one(), 0.9 * one());
  const auto found = importance_evidence(toy_model, guide, kBatch, Noise(3), 100'000);
  for (int64_t row = 0; row < 2; ++row) {
    const double error = found.standard_error[row].item<double>();
    const double truth = toy_evidence(kBatch["x"][row].item<double>());
    EXPECT_LE(std::abs(found.rows[row].item<double>() - truth), kZStar * error);
    EXPECT_LE(10.9 * error, 0.025);
    EXPECT_GT(std::abs(found.rows[row].item<double>() - truth - 0.025), kZStar * error)
        << "planted";
  }
}

TEST(ImportanceEvidence, WarnsWhereTheWeightsHaveNoVariance) {
  // Their shape is 1 - s^2 / (1/2): the variance is infinite for s below half the posterior's.
  const auto k_hat = [](double s) {
    const auto guide = toy_guide(kBatch["x"] / 2, s * one());
    return importance_evidence(toy_model, guide, kBatch, Noise(3), 50'000).k_hat;
  };
  EXPECT_GT(k_hat(0.3).min().item<double>(), kInfiniteVariance);
  EXPECT_LT(k_hat(0.9).max().item<double>(), kInfiniteVariance);
}

TEST(ImportanceEvidence, TakesDiscreteSites) {
  const auto model = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    const auto z = trace.sample("z", Bernoulli(at::full({1}, 0.3, at::kDouble)));
    trace.observe("x", Normal(z, one()), rows["x"]);
  };
  const auto guide = [](Trace& trace, const Batch& rows) {  // the posterior
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", Bernoulli::from_logits(rows["x"] - 0.5 + std::log(3.0 / 7)));
  };
  const auto found = importance_evidence(model, guide, kBatch, Noise(3), 10);
  const double truth =
      std::log(0.3 * std::exp(log_normal(1.3, 1, 1)) + 0.7 * std::exp(log_normal(1.3, 0, 1)));
  EXPECT_NEAR(found.rows[0].item<double>(), truth, 1e-12);
}

TEST(ImportanceEvidence, RejectsGlobalSitesAndOneDraw) {
  const auto global = [](Trace& trace, const Batch&) {
    (void)trace.sample("w", Normal::standard({}, at::kDouble));
  };
  EXPECT_THROW((void)importance_evidence(global, global, kBatch, Noise(3), 10), SiteError);
  EXPECT_THROW((void)importance_evidence(toy_model, toy_guide(one(), one()), kBatch, Noise(3), 1),
               ConfigError);
}

}  // namespace
}  // namespace elbo
