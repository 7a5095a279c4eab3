#include "elbo/inference/em.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
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

/// A Gaussian mixture as anyone would write it.
struct GaussianMixture {
  explicit GaussianMixture(const at::Tensor& means)
      : weights(at::full({means.size(0)}, 1.0 / static_cast<double>(means.size(0)), kDouble)),
        loc(means.clone()),
        root(at::eye(means.size(1), kDouble).repeat({means.size(0), 1, 1})) {}

  [[nodiscard]] Program model() const {
    return [*this](Trace& t, const Batch& b) {
      const auto data = t.plate("data", b.rows, b.total);
      const auto k = t.sample("k", Categorical(weights));
      t.observe("x", MultivariateNormal(loc.index({k}), root.index({k})), b["x"]);
    };
  }
  [[nodiscard]] std::vector<MStep> m_steps() const {
    return {{"k", weighted_mle("Categorical", {.num_categories = weights.size(0)}), {weights}},
            {"x", weighted_mle("MultivariateNormal", {.event_shape = {loc.size(1)}}), {loc, root}}};
  }
  [[nodiscard]] Em em(EmOptions options = {}) const { return Em(model(), m_steps(), options); }

  at::Tensor weights, loc, root;
};

at::Tensor blobs(int64_t rows, uint64_t seed = 1) {
  const auto centres = tensor({-4, 0, 3, 2, 1, -3}).view({3, 2});
  const auto k = at::arange(rows, at::kLong).remainder(3);
  return centres.index_select(0, k) + Noise(seed).normal({rows, 2}, kDouble);
}

TEST(Em, OfOneComponentIsTheSampleMeanAndCovariance) {
  const auto x = blobs(200);
  const GaussianMixture mixture(tensor({7, -7}).view({1, 2}));
  mixture.em({.chunk_rows = 64}).iterate(stream_of(x));
  const auto centred = x - x.mean(0);
  const auto covariance = centred.t().matmul(centred) / 200;
  EXPECT_TRUE(at::allclose(mixture.loc[0], x.mean(0), 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(mixture.root[0].matmul(mixture.root[0].t()), covariance, 1e-12, 1e-12));
}

TEST(Em, ResponsibilitiesAreBayessRule) {
  const auto x = blobs(40);
  const GaussianMixture mixture(x.narrow(0, 0, 3));
  const auto em = mixture.em();
  const auto rows = stream_of(x);
  const auto found = em.responsibilities(rows.range(0, 40));
  auto joint = at::zeros({3, 40}, kDouble);
  for (int64_t k = 0; k < 3; ++k)
    for (int64_t i = 0; i < 40; ++i)
      joint[k][i] =
          std::log(1.0 / 3) - 0.5 * (x[i] - mixture.loc[k]).square().sum() - std::log(2 * M_PI);
  EXPECT_TRUE(at::allclose(found.log_likelihood, joint.logsumexp(0), 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(found.weights, joint.softmax(0), 1e-12, 1e-12));
  EXPECT_NEAR(em.log_likelihood(rows), joint.logsumexp(0).mean().item<double>(), 1e-12);
}

// TT: the bound touches the likelihood after the E step, and the M step raises it.
TEST(Em, AlternatesOnTheLowerBound) {
  const auto x = blobs(150);
  const auto rows = stream_of(x);
  const GaussianMixture mixture(x.narrow(0, 0, 3));
  auto em = mixture.em();
  const auto bound = [&](const at::Tensor& q) {  // sum_i E_q log p(x, k) + H(q)
    const auto trace = Trace::run(enumerate(mixture.model()), rows.range(0, 150), Noise(0));
    const auto joint = (trace.at("k").log_prob() + trace.at("x").log_prob()).squeeze(1);
    return (q * (joint - q.log())).sum().item<double>() / 150;
  };
  for (int i = 0; i < 5; ++i) {
    const auto q = em.responsibilities(rows.range(0, 150)).weights.clamp_min(1e-300);
    const double before = em.log_likelihood(rows);
    EXPECT_NEAR(bound(q), before, 1e-12 * std::abs(before)) << "algorithm 1, step 1";
    EXPECT_NEAR(em.iterate(rows), before, 1e-12 * std::abs(before));
    EXPECT_GT(bound(q), before) << "algorithm 1, step 2";
    EXPECT_GE(em.log_likelihood(rows), bound(q)) << "the bound is one";
  }
}

TEST(Em, DoesNotDependOnChunksOrThreads) {
  const auto x = blobs(500);
  const auto run = [&](int64_t chunk_rows) {
    const GaussianMixture mixture(x.narrow(0, 0, 3));
    auto em = mixture.em({.chunk_rows = chunk_rows});
    for (int i = 0; i < 10; ++i) em.iterate(stream_of(x));
    return at::cat({mixture.weights, mixture.loc.flatten(), mixture.root.flatten()});
  };
  const auto whole = run(1000);
  EXPECT_TRUE(at::allclose(run(37), whole, 1e-10, 1e-11));
  const auto cut = run(37);
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  EXPECT_TRUE(run(37).equal(cut));
  at::set_num_threads(threads);
}

// k, j given k, x given k, y given both: tables of parameters are indexed as they are written.
TEST(Em, LearnsSeveralLatentSites) {
  const int64_t n = 600;
  const Noise noise(4);
  const auto first = at::tensor({0, 1, 1}, at::kLong).repeat({n / 3});
  const auto second = noise.site("j").uniform({n}, kDouble).lt(0.2 + 0.5 * first).to(at::kLong);
  const auto truth = tensor({-5, 0, 5, 9}).view({2, 2});
  const auto x = 6 * first + noise.site("x").normal({n}, kDouble);
  const auto y = truth.index({first, second}) + noise.site("y").normal({n}, kDouble);
  auto weights = tensor({0.5, 0.5}), given = tensor({0.5, 0.5, 0.5, 0.5}).view({2, 2});
  auto x_loc = tensor({-1, 7}), y_loc = tensor({-4, 1, 4, 8}).view({2, 2});
  auto x_scale = tensor({1, 1}), y_scale = at::ones({2, 2}, kDouble);
  const Program model = [&](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto k = t.sample("k", Categorical(weights));
    const auto j = t.sample("j", Categorical(given.index({k})));
    t.observe("x", Normal(x_loc.index({k}), x_scale.index({k})), b["x"]);
    t.observe("y", Normal(y_loc.index({k, j}), y_scale.index({k, j})), b["y"]);
  };
  const auto two = weighted_mle("Categorical", {.num_categories = 2});
  const auto normal = weighted_mle("Normal");
  Em em(model,
        {{"k", two, {weights}},
         {"j", two, {given}},
         {"x", normal, {x_loc, x_scale}},
         {"y", normal, {y_loc, y_scale}}},
        {.chunk_rows = 100});
  const RowStream rows{n, [&](int64_t begin, int64_t count) {
                         return Batch{.columns = {{"x", x.narrow(0, begin, count)},
                                                  {"y", y.narrow(0, begin, count)}},
                                      .rows = at::arange(begin, begin + count, at::kLong),
                                      .total = n};
                       }};
  double before = em.iterate(rows);
  for (int i = 0; i < 60; ++i) {
    const double now = em.iterate(rows);
    EXPECT_GE(now, before - 1e-12);
    before = now;
  }
  EXPECT_TRUE(at::allclose(weights, tensor({1.0 / 3, 2.0 / 3}), 0, 0.02)) << weights;
  EXPECT_TRUE(at::allclose(given.select(1, 1), tensor({0.2, 0.7}), 0, 0.08)) << given;
  EXPECT_TRUE(at::allclose(y_loc, truth, 0, 0.35)) << y_loc;
  EXPECT_TRUE(at::allclose(x_loc, tensor({0, 6}), 0, 0.2)) << x_loc;
}

TEST(Em, StepwiseReachesTheFullBatchsLikelihood) {
  const auto x = blobs(6000);
  const auto rows = stream_of(x);
  const auto start = x.narrow(0, 0, 3);
  const GaussianMixture full(start), stepwise(start);
  auto whole = full.em();
  for (int i = 0; i < 30; ++i) whole.iterate(rows);
  auto em = stepwise.em();
  const double before = em.log_likelihood(rows);
  const auto result = em.step(rows.range(0, 100), Noise(0));
  EXPECT_EQ(em.state().at("em.minibatches").item<int64_t>(), 1);
  // The first minibatch alone is one iteration of EM on it.
  const GaussianMixture alone(start);
  EXPECT_NEAR(result.elbo, alone.em().iterate(stream_of(x.narrow(0, 0, 100))), 1e-12);
  EXPECT_TRUE(at::allclose(alone.loc, stepwise.loc, 1e-12, 1e-12));
  for (int64_t first = 100; first < 6000; first += 100) em.step(rows.range(first, 100), Noise(0));
  const double best = whole.log_likelihood(rows), found = em.log_likelihood(rows);
  EXPECT_GT(best - before, 0.2) << "the start is far from the end";
  EXPECT_LE(best - found, 0.01) << "after one pass";
}

// Student's law has no weighted maximum in closed form: its location climbs the gradient.
TEST(Em, ClimbsByGradientWhereThereIsNoClosedForm) {
  const auto x =
      at::cat({Noise(1).normal({200}, kDouble) - 3, Noise(2).normal({100}, kDouble) + 4});
  auto weights = tensor({0.5, 0.5});
  const auto loc = tensor({-0.5, 0.5}).set_requires_grad(true);
  const Program model = [&](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto k = t.sample("k", Categorical(weights));
    const auto one = at::ones({}, kDouble);
    t.observe("x", StudentT(4 * one, loc.index({k}), one), b["x"]);
  };
  Em em(model, {{"k", weighted_mle("Categorical", {.num_categories = 2}), {weights}}},
        {.by_gradient = {{"loc", loc}}});
  const auto rows = stream_of(x);
  double before = em.log_likelihood(rows);
  for (int i = 0; i < 60; ++i) {
    em.iterate(rows);
    const double now = em.log_likelihood(rows);
    EXPECT_GE(now, before - 1e-12);
    before = now;
  }
  EXPECT_NEAR(loc[0].item<double>(), -3, 0.3);
  EXPECT_NEAR(loc[1].item<double>(), 4, 0.3);
  EXPECT_NEAR(weights[0].item<double>(), 2.0 / 3, 0.02);
}

TEST(Em, SaysWhatIsWrong) {
  const auto x = blobs(20);
  const GaussianMixture mixture(x.narrow(0, 0, 2));
  const auto steps = mixture.m_steps();
  EXPECT_THROW((void)Em(mixture.model(), {{"x", steps[1].family, {mixture.loc}}}), ConfigError);
  EXPECT_THROW(
      Em(mixture.model(), {{"y", steps[1].family, steps[1].parameters}}).iterate(stream_of(x)),
      SiteError);
  const auto drawn = [](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto z = t.sample("z", Normal::standard({}, kDouble));
    t.observe("x", Normal(z, at::ones({}, kDouble)), b["x"].select(1, 0));
  };
  EXPECT_THROW((void)Em(drawn, {}).log_likelihood(stream_of(x)), SiteError);
  EXPECT_THROW((void)mixture.em({.chunk_rows = 0}), ConfigError);
  EXPECT_THROW((void)mixture.em({.step_exponent = 0.5}), ConfigError);
  auto broken = x.clone();
  broken[7][0] = NAN;
  auto em = mixture.em();
  const auto loc = mixture.loc.clone();
  try {
    em.iterate(stream_of(broken));
    FAIL();
  } catch (const NumericError& e) {
    EXPECT_NE(std::string(e.what()).find("row 7"), std::string::npos) << e.what();
  }
  EXPECT_TRUE(mixture.loc.equal(loc)) << "left as it was";
}

// Both components on the same rows, which are all equal: a typed error, and nothing written.
TEST(Em, ACollapseWithoutAFloorIsAnError) {
  const GaussianMixture mixture(tensor({0, 0, 1, 1}).view({2, 2}));
  auto em = mixture.em();
  EXPECT_THROW(em.iterate(stream_of(at::ones({10, 2}, kDouble))), NumericError);
  EXPECT_TRUE(mixture.root.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace elbo
