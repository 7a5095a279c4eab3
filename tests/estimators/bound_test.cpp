#include "elbo/estimators/bound.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/estimators/importance_weighted.h"
#include "elbo/estimators/score_function.h"
#include "elbo/estimators/sgvb.h"
#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

at::Tensor rows() { return at::tensor({1.0, 2.0, 3.0, 6.0}, at::kDouble).view({2, 2}); }

TEST(Bound, AveragesRowsAndParticles) {
  Bound bound;
  bound.combined = rows();
  bound.total = 10;
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), 3);
  EXPECT_DOUBLE_EQ(bound.full_data().item<double>(), 30);
}

TEST(Bound, IsReconstructionLessKlUnlessCombined) {
  Bound bound{.reconstruction = rows(), .kl = 0.5 * rows(), .total = 10};
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), 1.5);
  bound.combined = rows();
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), 3);
}

TEST(Bound, CountsGlobalTermsOnce) {
  Bound bound;
  bound.combined = rows();
  bound.global = at::tensor({5.0, 15.0}, at::kDouble).view({2, 1});
  bound.total = 10;
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), 3 + 1);
  EXPECT_DOUBLE_EQ(bound.full_data().item<double>(), 30 + 10);
}

TEST(Bound, WeighsRows) {
  Bound bound;
  bound.combined = rows();
  bound.weights = at::tensor({0.5, 1.5}, at::kDouble);
  bound.total = 10;
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), (0.5 * (1 + 3) + 1.5 * (2 + 6)) / 4);
}

TEST(Bound, HasTheWeightsOfItsBatchWhateverTheEstimator) {
  auto batch = batch_of(at::tensor({1.0, 2.0}, at::kDouble));
  batch.weights = at::tensor({0.5, 1.5}, at::kDouble);
  const auto guide = toy_guide(0.3 * one(), 0.8 * one());
  for (const Estimator& estimator :
       std::vector<Estimator>{Sgvb{}, ImportanceWeighted{2}, ScoreFunction{}})
    EXPECT_TRUE(estimator(toy_model, guide, batch, Noise(1)).weights.is_same(batch.weights));
}

TEST(Bound, CarriesTheGradient) {
  Bound bound;
  bound.combined = rows().requires_grad_();
  bound.total = 10;
  bound.full_data().backward();
  EXPECT_TRUE(bound.combined.grad().eq(2.5).all().item<bool>());
}

// ---- FVB eq 3: weights W outside of the plate, z_n inside.

void weighted_model(Trace& trace, const Batch& batch) {
  const auto w = trace.sample("w", Normal(0.1 * one(), 1.5 * one()));
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto z = trace.sample("z", Normal::standard({}, at::kDouble));
  trace.observe("x", Normal(w * z, one()), batch["x"]);
}
void weighted_guide(Trace& trace, const Batch& batch) {
  (void)trace.sample("w", Normal(0.7 * one(), 0.4 * one()));
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  (void)trace.sample("z", Normal(0.3 * batch["x"], 0.8 * one()));
}

/// The mean of `value` over all minibatches of `size` of 6 rows.
double mean_over_minibatches(const Batch& full, int64_t size,
                             const std::function<double(const Batch&)>& value) {
  double sum = 0;
  int count = 0;
  for (int64_t mask = 0; mask < 64; ++mask) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < 6; ++i)
      if (mask >> i & 1) rows.push_back(i);
    if (static_cast<int64_t>(rows.size()) != size) continue;
    sum += value(subset(full, at::tensor(rows, at::kLong)));
    ++count;
  }
  return sum / count;
}

TEST(Bound, OfMinibatchesWithGlobalSitesAveragesToTheFullData) {
  const auto full = batch_of(at::tensor({0.5, -1.0, 2.0, 1.4, -0.3, 0.9}, at::kDouble));
  for (const auto form : {SgvbForm::kA, SgvbForm::kB})
    for (const int64_t size : {1, 2, 4}) {
      const Sgvb sgvb{.form = form, .num_particles = 3};
      const auto bound_of = [&](const Batch& b) {
        return sgvb(weighted_model, weighted_guide, b, Noise(5));
      };
      const double truth = bound_of(full).full_data().item<double>();
      const auto mean = [&](const std::function<double(const Batch&)>& value) {
        return mean_over_minibatches(full, size, value);
      };
      EXPECT_NEAR(mean([&](const Batch& b) { return bound_of(b).full_data().item<double>(); }),
                  truth, 1e-10);
      // Planted: log p(W) - log q(W) scaled by N/M with the rest.
      EXPECT_GT(std::abs(mean([&](const Batch& b) {
                           Bound bound = bound_of(b);
                           bound.global = bound.global * (6.0 / static_cast<double>(size));
                           return bound.full_data().item<double>();
                         }) -
                         truth),
                0.1);
      // Planted: the likelihood left unscaled.
      EXPECT_GT(std::abs(mean([&](const Batch& b) {
                           Bound bound = bound_of(b);
                           bound.total = size;
                           return bound.full_data().item<double>();
                         }) -
                         truth),
                0.1);
    }
}

}  // namespace
}  // namespace elbo
