#include "elbo/estimators/partly_observed.h"

#include <gtest/gtest.h>

#include "elbo/estimators/sgvb.h"
#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

const auto kDouble = at::TensorOptions(at::kDouble);
const auto kLogits = Noise(4).normal({5, 3}, kDouble);
const auto kMeans = at::tensor({-1.0, 0.5, 2.0}, kDouble);

void model(Trace& t, const Batch& b) {
  const auto plate = t.plate("rows", b.rows, b.total);
  const auto prior = Categorical::from_logits(at::zeros({3}, kDouble));
  const auto y = b.has("y") ? t.observe("y", prior, b["y"]) : t.sample("y", prior);
  const auto z = t.sample("z", Normal::standard({}, kDouble));
  t.observe("x", Normal(kMeans.index({y}) + z, one()), b["x"]);
}
void guide(Trace& t, const Batch& b) {
  const auto plate = t.plate("rows", b.rows, b.total);
  const auto q = Categorical::from_logits(kLogits.index_select(0, b.rows));
  const auto y = b.has("y") ? t.observe("y", q, b["y"]) : t.sample("y", q);
  t.sample("z", Normal(0.5 * (b["x"] - kMeans.index({y})), 0.8 * one()));
}

Batch partly(std::vector<int64_t> labels) {
  Batch batch = batch_of(at::tensor({0.3, -1.0, 2.0, 0.7, 1.5}, kDouble));
  batch.columns["y"] = at::tensor(labels, at::kLong);
  return batch;
}

const Sgvb kSgvb{.num_particles = 2, .supervision = 10};

bool same(const at::Tensor& a, const at::Tensor& b) { return at::allclose(a, b, 1e-13, 1e-13); }

TEST(PartlyObserved, EachRowIsWhatItIsByItself) {
  const auto batch = partly({2, -1, 0, -1, -1});
  const auto bound = PartlyObserved{kSgvb}(model, guide, batch, Noise(1));
  EXPECT_EQ(bound.rows().sizes(), at::IntArrayRef({2, 5}));
  for (int64_t i = 0; i < 5; ++i) {
    Batch row = subset(batch, at::tensor({i}, at::kLong));
    const bool known = row["y"].item<int64_t>() >= 0;
    if (!known) row.columns.erase("y");
    const auto alone = kSgvb(model, guide, row, Noise(1));
    EXPECT_TRUE(same(bound.rows().select(1, i), alone.rows().select(1, 0))) << i;
    EXPECT_TRUE(same(bound.kl.select(1, i), alone.kl.select(1, 0))) << i;
    const auto supervision = bound.supervision.select(1, i);
    if (known)
      EXPECT_TRUE(same(supervision, alone.supervision.select(1, 0))) << i;
    else
      EXPECT_TRUE(supervision.eq(0).all().item<bool>()) << i;
  }
}

TEST(PartlyObserved, OfOneKindOfRowsIsTheEstimator) {
  const auto all = partly({2, 1, 0, 1, 0});
  const auto with = PartlyObserved{kSgvb}(model, guide, all, Noise(1));
  EXPECT_TRUE(with.rows().equal(kSgvb(model, guide, all, Noise(1)).rows()));
  const auto none = partly({-1, -1, -1, -1, -1});
  Batch without = none;
  without.columns.erase("y");
  const auto truth = kSgvb(model, guide, without, Noise(1));
  for (const Batch& batch : {none, without}) {
    const auto bound = PartlyObserved{kSgvb}(model, guide, batch, Noise(1));
    EXPECT_TRUE(bound.rows().equal(truth.rows()));
    EXPECT_FALSE(bound.supervision.defined());
  }
}

TEST(PartlyObserved, KeepsWeightsAndTotal) {
  Batch batch = partly({2, -1, 0, -1, -1});
  batch.total = 100;
  batch.weights = at::tensor({0.5, 1.0, 0.5, 1.5, 1.5}, kDouble);
  const auto bound = PartlyObserved{kSgvb}(model, guide, batch, Noise(1));
  EXPECT_EQ(bound.total, 100);
  EXPECT_NEAR(bound.per_datum().item<double>(),
              (bound.rows() * batch.weights).mean().item<double>(), 1e-14);
}

TEST(PartlyObserved, RejectsBoundsThatCannotBeJoined) {
  const Estimator whole = [](const Program&, const Program&, const Batch& b, const Noise&) {
    const auto zero = at::zeros({1, b.size()}, kDouble);
    return Bound{.reconstruction = zero, .kl = zero, .combined = zero};
  };
  EXPECT_THROW((void)PartlyObserved{whole}(model, guide, partly({2, -1, 0, -1, -1}), Noise(1)),
               SiteError);
}

}  // namespace
}  // namespace elbo
