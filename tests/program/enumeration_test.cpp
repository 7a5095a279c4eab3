#include "elbo/program/enumeration.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/distributions.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor tensor(std::initializer_list<double> values) {
  return at::tensor(at::ArrayRef<double>(values.begin(), values.size()), kDouble);
}

Batch rows_of(int64_t count) {
  Batch batch;
  batch.rows = at::arange(count, at::kLong);
  batch.total = count;
  batch.columns["x"] = Noise(5).normal({count}, kDouble);
  batch.columns["y"] = Noise(6).normal({count, 2}, kDouble);
  return batch;
}

Trace enumerated(const Program& program, const Batch& batch) {
  return Trace::run(enumerate(program), batch, Noise(1));
}

const auto kWeights = tensor({0.2, 0.5, 0.3});
const auto kMeans = tensor({-1, 0, 2});

/// k of three, x given k.
void mixture(Trace& t, const Batch& b) {
  const auto data = t.plate("data", b.rows, b.total);
  const auto k = t.sample("k", Categorical(kWeights));
  t.observe("x", Normal(kMeans.index({k}), at::ones({}, kDouble)), b["x"]);
}

// j given i, and y given both: no factor has k and j, so that no table of all three is needed.
const auto kChain = tensor({0.7, 0.3, 0.1, 0.9, 0.4, 0.6}).view({3, 2});
const auto kPair = Noise(9).normal({3, 2, 2}, kDouble);

void chain(Trace& t, const Batch& b) {
  const auto data = t.plate("data", b.rows, b.total);
  const auto k = t.sample("k", Categorical(kWeights));
  const auto j = t.sample("j", Categorical(kChain.index({k})));
  const auto s = t.sample("s", Bernoulli(tensor({0.25, 0.75}).index({j})));
  t.observe("x", Normal(kMeans.index({k}) + s, at::ones({}, kDouble)), b["x"]);
  t.observe("y", Normal(kPair.index({k, j}), at::ones({}, kDouble)).to_event(1), b["y"]);
}

/// log p(x, z) of one row for given latent values, by a trace that conditions on them.
double log_joint(const Batch& b, int64_t row, double k, double j, double s) {
  Batch one = b;
  one.rows = b.rows.narrow(0, row, 1);
  for (auto& [name, column] : one.columns) column = column.narrow(0, row, 1);
  const auto value = [](double v, at::ScalarType type) { return at::full({1}, v, type); };
  const Trace t = Trace::run(condition(chain, {{"k", value(k, at::kLong)},
                                               {"j", value(j, at::kLong)},
                                               {"s", value(s, at::kDouble)}}),
                             one, Noise(1));
  double sum = 0;
  for (const Site& site : t.sites()) sum += site.log_prob().item<double>();
  return sum;
}

TEST(Enumerate, PutsEachSiteOnADimensionOfItsOwn) {
  const Trace t = enumerated(chain, rows_of(4));
  EXPECT_EQ(t.at("k").value.sizes(), at::IntArrayRef({3, 1, 1}));
  EXPECT_EQ(t.at("j").value.sizes(), at::IntArrayRef({2, 1, 1, 1}));
  EXPECT_EQ(t.at("s").value.sizes(), at::IntArrayRef({2, 1, 1, 1, 1}));
  EXPECT_EQ(t.at("k").log_prob().sizes(), at::IntArrayRef({3, 1, 4}));
  EXPECT_EQ(t.at("j").log_prob().sizes(), at::IntArrayRef({2, 3, 1, 4}));
  EXPECT_EQ(t.at("x").log_prob().sizes(), at::IntArrayRef({2, 1, 3, 1, 4}));
  EXPECT_EQ(t.at("y").log_prob().sizes(), at::IntArrayRef({2, 3, 1, 4}));
  // Only what was to be enumerated: not in the plain program, and not what is given.
  EXPECT_FALSE(Trace::run(chain, rows_of(4), Noise(1)).at("k").enumerated);
  const auto given = condition(chain, {{"k", at::zeros({4}, at::kLong)}});
  EXPECT_FALSE(enumerated(given, rows_of(4)).at("k").enumerated);
}

TEST(LogMarginal, OfAMixtureIsThatOfItsLaw) {
  const auto batch = rows_of(50);
  const MixtureSameFamily law(Categorical(kWeights),
                              std::make_shared<Normal>(kMeans, at::ones({3}, kDouble)));
  const auto found = log_marginal(enumerated(mixture, batch));
  ASSERT_EQ(found.sizes(), at::IntArrayRef({1, 50}));
  EXPECT_TRUE(at::allclose(found[0], law.log_prob(batch["x"]), 1e-13, 1e-13));
  const auto weights = posterior(enumerated(mixture, batch)).weights;
  const auto truth = law.log_joint(batch["x"]).softmax(-1).t();
  EXPECT_TRUE(at::allclose(weights[1].squeeze(1), truth, 1e-12, 1e-12));
  // The index's own law is one for all rows: its weights are expected counts.
  EXPECT_EQ(weights[0].sizes(), at::IntArrayRef({3, 1, 1}));
  EXPECT_TRUE(at::allclose(weights[0].flatten(), truth.sum(1), 1e-12, 1e-12));
}

TEST(Posterior, IsTheSumOverAllValues) {
  const auto batch = rows_of(5);
  const auto found = posterior(enumerated(chain, batch));
  for (int64_t row = 0; row < 5; ++row) {
    at::Tensor joint = at::zeros({3, 2, 2}, kDouble);
    for (int k = 0; k < 3; ++k)
      for (int j = 0; j < 2; ++j)
        for (int s = 0; s < 2; ++s) joint[k][j][s] = log_joint(batch, row, k, j, s);
    const auto truth = joint.flatten().logsumexp(0);
    EXPECT_NEAR(found.log_marginal[0][row].item<double>(), truth.item<double>(), 1e-12);
    const auto probability = (joint - truth).exp();
    // Sites in order: k, j, s, x, y; of x the dimensions are [s, j, k, particle, row].
    const auto of_x = found.weights[3].select(-1, row).reshape({2, 3});
    EXPECT_TRUE(at::allclose(of_x, probability.sum(1).t(), 1e-12, 1e-12));
    const auto of_y = found.weights[4].select(-1, row).reshape({2, 3});
    EXPECT_TRUE(at::allclose(of_y, probability.sum(2).t(), 1e-12, 1e-12));
  }
  // The factors of j and s are the same for all rows, so that theirs are counts.
  EXPECT_NEAR(found.weights[1].sum().item<double>(), 5, 1e-12);
  EXPECT_NEAR(found.weights[2].sum().item<double>(), 5, 1e-12);
}

TEST(LogJoint, IsEveryCombinationInTheSitesOrder) {
  const auto batch = rows_of(5);
  const auto trace = enumerated(chain, batch);
  const auto found = elbo::log_joint(trace);
  ASSERT_EQ(found.sizes(), at::IntArrayRef({12, 5}));
  for (int k = 0; k < 3; ++k)
    for (int j = 0; j < 2; ++j)
      for (int s = 0; s < 2; ++s)
        EXPECT_NEAR(found[4 * k + 2 * j + s][3].item<double>(), log_joint(batch, 3, k, j, s),
                    1e-12);
  EXPECT_TRUE(at::allclose(found.logsumexp(0), log_marginal(trace)[0], 1e-12, 1e-12));
  EXPECT_THROW((void)elbo::log_joint(Trace::run(chain, batch, Noise(1))), SiteError);
}

TEST(LogMarginal, HasFishersGradient) {
  const auto batch = rows_of(20);
  const auto means = kMeans.clone().set_requires_grad(true);
  const auto program = [&](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto k = t.sample("k", Categorical(kWeights));
    t.observe("x", Normal(means.index({k}), at::ones({}, kDouble)), b["x"]);
  };
  log_marginal(enumerated(program, batch)).sum().backward();
  // d/dm_k = sum_rows r_k (x - m_k)
  const auto r = posterior(enumerated(program, batch)).weights[1].squeeze(1);
  const auto truth = (r * (batch["x"].unsqueeze(0) - kMeans.unsqueeze(1))).sum(1);
  EXPECT_TRUE(at::allclose(means.grad(), truth, 1e-12, 1e-12));
}

TEST(Posterior, OfAnImpossibleRowIsMinusInfinityAndHasNoNan) {
  const auto program = [](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto k = t.sample("k", Categorical(kWeights));
    t.observe("x", Exponential(tensor({1, 2, 3}).index({k})), b["x"]);
  };
  auto batch = rows_of(3);
  batch.columns["x"] = tensor({1, -1, 2});
  const auto found = posterior(enumerated(program, batch));
  EXPECT_TRUE(std::isinf(found.log_marginal[0][1].item<double>()));
  EXPECT_TRUE(found.weights[1].isfinite().all().item<bool>());
  EXPECT_NEAR(found.weights[0].sum().item<double>(), 2, 1e-12);
}

/// q(k) q(j | k) q(s | j), and a draw that depends on j.
void guide(Trace& t, const Batch& b) {
  chain(t, b);
  const auto data = t.plate("data", b.rows, b.total);
  const auto j = t.at("j").value;
  (void)t.sample("z", Normal(tensor({-5, 5}).index({j}), at::ones({}, kDouble)));
}

TEST(GuideExpectation, SumsOverWhatAFunctionDependsOn) {
  const auto batch = rows_of(4);
  const Trace t = Trace::run(enumerate(guide), batch, Noise(1), {.draw_each = true});
  const GuideExpectation expectation(t);
  const auto q = kWeights.view({1, 1, 3}) * kChain.t().unsqueeze(0) *
                 tensor({0.75, 0.25, 0.25, 0.75}).view({2, 2, 1});  // [s, j, k]
  EXPECT_NEAR(q.sum().item<double>(), 1, 1e-14);
  const auto wide = [&](const at::Tensor& over) { return over.unsqueeze(-1).unsqueeze(-1); };
  // Functions of every set of sites, at rows that differ.
  const auto rows = at::arange(1, 5, kDouble);
  for (const auto& shape : std::vector<std::vector<int64_t>>{{2, 2, 3},
                                                             {2, 2, 1},
                                                             {2, 1, 3},
                                                             {2, 1, 1},
                                                             {1, 2, 3},
                                                             {1, 2, 1},
                                                             {1, 1, 3},
                                                             {1, 1, 1}}) {
    const auto f = Noise(7).normal(shape, kDouble);
    const auto found = expectation(wide(f) * rows.view({1, 4}));
    ASSERT_EQ(found.sizes(), at::IntArrayRef({1, 4}));
    EXPECT_TRUE(at::allclose(found[0], (q * f).sum() * rows, 1e-13, 1e-13));
  }
  // Fewer dimensions, as sites have them that ran early; and none.
  const auto of_k = tensor({1, 2, 4});
  EXPECT_NEAR(expectation(wide(of_k).expand({3, 1, 4}))[0][1].item<double>(),
              (kWeights * of_k).sum().item<double>(), 1e-14);
  EXPECT_TRUE(expectation(rows.view({1, 4})).equal(rows.view({1, 4})));
  // A draw for each value of j.
  EXPECT_EQ(t.at("z").value.sizes(), at::IntArrayRef({2, 1, 1, 4}));
  EXPECT_TRUE(t.at("z").value[0].lt(0).all().item<bool>());
  EXPECT_TRUE(t.at("z").value[1].gt(0).all().item<bool>());
}

TEST(GuideExpectation, AnImpossibleValueCountsNothing) {
  const auto program = [](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    (void)t.sample("k", Categorical(tensor({0.25, 0, 0.75})));
  };
  const Trace t = enumerated(program, rows_of(2));
  const auto f = tensor({1, -INFINITY, 3}).view({3, 1, 1});
  EXPECT_NEAR(GuideExpectation(t)(f)[0][1].item<double>(), 2.5, 1e-14);
}

TEST(Replay, KeepsEnumeratedSitesInTheirPlaceWhateverTheOrder) {
  const auto batch = rows_of(4);
  // The guide runs s, j, k; the model k, j, s: factors still multiply along the right dimensions.
  const auto backwards = [](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    (void)t.sample("s", Bernoulli(tensor({0.3}).squeeze()));
    (void)t.sample("j", Categorical(tensor({0.4, 0.6})));
    (void)t.sample("k", Categorical(tensor({0.2, 0.2, 0.6})));
  };
  const Trace q = Trace::run(enumerate(backwards), batch, Noise(1));
  const Trace p =
      Trace::run(replay(chain, q), batch, Noise(1), {.enumerated = q.enumerated_sizes()});
  EXPECT_TRUE(p.at("k").enumerated);
  const Trace straight = enumerated(chain, batch);
  // [k, j, s] of the one, [s, j, k] of the other.
  const auto of = [](const Trace& t) {
    at::Tensor sum = at::zeros({}, kDouble);
    for (const Site& site : t.sites()) sum = sum + site.log_prob();
    return sum;
  };
  EXPECT_TRUE(at::allclose(of(p), of(straight).permute({2, 1, 0, 3, 4}), 1e-13, 1e-13));
  EXPECT_TRUE(at::allclose(log_marginal(p), log_marginal(straight), 1e-13, 1e-13));
}

TEST(Enumerate, RejectsWhatHasNoFiniteSum) {
  const auto batch = rows_of(4);
  const auto global = [](Trace& t, const Batch& b) {
    const auto k = t.sample("k", Categorical(kWeights));
    const auto data = t.plate("data", b.rows, b.total);
    t.observe("x", Normal(kMeans.index({k}), at::ones({}, kDouble)), b["x"]);
  };
  EXPECT_THROW((void)log_marginal(enumerated(global, batch)), SiteError);
  const auto counts = [](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    (void)t.sample("k", Poisson(at::ones({}, kDouble)));
  };
  EXPECT_THROW((void)enumerated(counts, batch), SiteError);
  const auto below = [](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto k = t.sample("k", Categorical(kWeights));
    (void)t.sample("z", Normal(kMeans.index({k}), at::ones({}, kDouble)));
  };
  EXPECT_THROW((void)enumerated(below, batch), SiteError);
  // A dimension that is no enumerated site's.
  const auto astray = [](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    (void)t.sample("k", Categorical(kWeights));
    t.observe("x", Normal(at::zeros({2, 1, 1}, kDouble), at::ones({}, kDouble)), b["x"]);
  };
  EXPECT_THROW((void)enumerated(astray, batch), ShapeError);
}

}  // namespace
}  // namespace elbo
