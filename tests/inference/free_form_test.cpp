#include "elbo/inference/free_form.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/distributions.h"
#include "elbo/inference/em.h"
#include "elbo/program/enumeration.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor tensor(std::initializer_list<double> values) {
  return at::tensor(at::ArrayRef<double>(values.begin(), values.size()), kDouble);
}

Batch rows_of(const at::Tensor& x) {
  return {.columns = {{"x", x}}, .rows = at::arange(x.size(0), at::kLong), .total = x.size(0)};
}

/// Two latent variables of 3 and 2 values, x given both.
void two_sites(Trace& t, const Batch& b) {
  const auto data = t.plate("data", b.rows, b.total);
  const auto k = t.sample("k", Categorical(tensor({0.2, 0.5, 0.3})));
  const auto j = t.sample("j", Bernoulli(tensor({0.7, 0.1, 0.4}).index({k})));
  const auto loc = tensor({-2, 0, 3}).index({k}) + 0.5 * j;
  t.observe("x", Normal(loc, at::ones({}, kDouble)), b["x"]);
}

/// z ~ N(0, 1), x ~ N(z, 1): the posterior is N(x / 2, 1 / 2).
void gaussian(Trace& t, const Batch& b) {
  const auto data = t.plate("data", b.rows, b.total);
  const auto z = t.sample("z", Normal::standard({}, kDouble));
  t.observe("x", Normal(z, at::ones({}, kDouble)), b["x"]);
}

constexpr double kSpacing = 0.05;
at::Tensor grid() { return kSpacing * at::arange(-200, 201, kDouble); }

at::Tensor skewed(const FreeForm& of) {  // a start far from the end
  const auto rough = of.uniform() + 3 * Noise(1).normal(of.uniform().sizes(), kDouble);
  return of.ascend(rough, 1e-12).log_q;
}

TEST(FreeForm, AscendsToThePosteriorOfDiscreteVariables) {
  const auto batch = rows_of(Noise(3).normal({7}, kDouble));
  const FreeForm q(enumerate(two_sites), batch);
  const auto joint = log_joint(Trace::run(enumerate(two_sites), batch, Noise(0)));
  const auto posterior = joint.softmax(0);
  const auto start = skewed(q);
  ASSERT_GT((q.probabilities(start) - posterior).abs().max().item<double>(), 0.1);
  for (const double rate : {0.05, 0.5, 1.0}) {
    const auto end = q.maximise(start, rate);
    EXPECT_LT((q.probabilities(end.log_q) - posterior).abs().max().item<double>(), 1e-12) << rate;
    // lambda = log p(x) - 1, and the bound is tight.
    const auto evidence = joint.logsumexp(0);
    EXPECT_TRUE(at::allclose(end.multiplier, evidence - 1, 1e-11, 1e-11)) << rate;
    EXPECT_TRUE(at::allclose(q.bound(end.log_q), evidence, 1e-12, 1e-12)) << rate;
  }
  // The pair's other order is another table: cells are [k, j].
  const auto of_k = log_marginal(Trace::run(
      enumerate(condition(two_sites, {{"k", at::ones({7}, at::kLong)}})), batch, Noise(0)));
  EXPECT_TRUE(at::allclose(joint.view({3, 2, 7})[1].logsumexp(0), of_k[0], 1e-12, 1e-12));
}

TEST(FreeForm, AscendsToThePosteriorDensityOnAGrid) {
  const auto x = tensor({-1.2, 0, 2.5});
  const auto z = grid();
  const FreeForm q(on_grid(gaussian, {{"z", z}}), rows_of(x),
                   at::full({z.size(0)}, kSpacing, kDouble));
  const auto truth =
      Normal(0.5 * x, at::full({}, std::sqrt(0.5), kDouble)).log_prob(z.unsqueeze(1));
  const auto end = q.maximise(skewed(q), 0.3);
  EXPECT_LT((end.log_q.exp() - truth.exp()).abs().max().item<double>(), 1e-8);
  const auto evidence = Normal(at::zeros({}, kDouble), at::full({}, std::sqrt(2.0), kDouble));
  EXPECT_TRUE(at::allclose(q.bound(end.log_q), evidence.log_prob(x), 0, 1e-8));
  EXPECT_TRUE(at::allclose(end.multiplier, evidence.log_prob(x) - 1, 0, 1e-8));
  // Without the cells' volume it would be a density of another measure.
  const FreeForm careless(on_grid(gaussian, {{"z", z}}), rows_of(x));
  EXPECT_GT((careless.maximise(careless.uniform(), 1).log_q.exp() - truth.exp())
                .abs()
                .max()
                .item<double>(),
            0.1);
}

// L is -KL(q || p(z | x)) and a constant: each ascent along its derivative raises it, and scales
// what is left of log q by 1 - rate; the derivative without -log q - 1 would go past the maximum.
TEST(FreeForm, EveryAscentRaisesTheBound) {
  const auto batch = rows_of(Noise(3).normal({7}, kDouble));
  const FreeForm q(enumerate(two_sites), batch);
  const auto posterior =
      log_joint(Trace::run(enumerate(two_sites), batch, Noise(0))).log_softmax(0);
  const auto left = [&](const at::Tensor& log_q) {
    const auto gap = log_q - posterior;
    return gap - gap.mean(0);
  };
  auto log_q = skewed(q);
  for (int i = 0; i < 20; ++i) {
    const auto step = q.ascend(log_q, 0.2);
    EXPECT_NEAR((q.probabilities(step.log_q).sum(0) - 1).abs().max().item<double>(), 0, 1e-13);
    EXPECT_GT((q.bound(step.log_q) - q.bound(log_q)).min().item<double>(), 0);
    EXPECT_TRUE(at::allclose(left(step.log_q), 0.8 * left(log_q), 1e-9, 1e-12));
    log_q = step.log_q;
  }
}

// The derivative is the bound's, in a direction that keeps q's sum.
TEST(FreeForm, TheDerivativeIsTheBounds) {
  const FreeForm q(enumerate(two_sites), rows_of(tensor({0.3})), tensor({1, 2, 3, 4, 5, 6}));
  const auto log_q = skewed(q);
  const auto volume = tensor({1, 2, 3, 4, 5, 6}).unsqueeze(1);
  auto direction = Noise(8).normal({6, 1}, kDouble);
  direction = direction - (volume * direction).sum() / volume.sum();
  const double h = 1e-6;
  const auto at_step = [&](double t) { return q.bound((log_q.exp() + t * direction).log()); };
  const auto slope = (at_step(h) - at_step(-h)) / (2 * h);
  const auto found = (volume * q.derivative(log_q) * direction).sum(0);
  EXPECT_NEAR(slope.item<double>(), found.item<double>(), 1e-6 * std::abs(found.item<double>()));
}

// Alternation over q and theta is EM, step for step: UT's algorithm.
TEST(FreeForm, AlternatingWithThetaIsEm) {
  const auto k = at::arange(90, at::kLong).remainder(3);
  const auto x = tensor({-4, 0, 3, 2, 1, -3}).view({3, 2}).index_select(0, k) +
                 1.5 * Noise(1).normal({90, 2}, kDouble);
  struct Mixture {
    at::Tensor weights = at::full({3}, 1.0 / 3, kDouble), loc, root;
    [[nodiscard]] Program model() const {
      return [*this](Trace& t, const Batch& b) {
        const auto data = t.plate("data", b.rows, b.total);
        const auto c = t.sample("k", Categorical(weights));
        t.observe("x", MultivariateNormal(loc.index({c}), root.index({c})), b["x"]);
      };
    }
    [[nodiscard]] Em em() const {
      return Em(model(),
                {{"k", weighted_mle("Categorical", {.num_categories = 3}), {weights}},
                 {"x", weighted_mle("MultivariateNormal", {.event_shape = {2}}), {loc, root}}},
                {.chunk_rows = 40});
    }
    [[nodiscard]] at::Tensor all() const {
      return at::cat({weights, loc.flatten(), root.flatten()});
    }
  };
  const auto fresh = [&] {
    return Mixture{.loc = x.narrow(0, 0, 3).clone(), .root = at::eye(2, kDouble).repeat({3, 1, 1})};
  };
  const auto by_em = fresh(), by_ascent = fresh(), by_halves = fresh();
  auto em = by_em.em(), alternating = by_ascent.em(), partial = by_halves.em();
  const auto rows = stream_of(x);
  const auto start = by_em.all();
  // The q of every row, kept from one iteration to the next, as UT's q_t is.
  auto kept = at::full({3, 90}, -std::log(3.0), kDouble);
  double bound = -INFINITY;
  for (int t = 0; t < 8; ++t) {
    em.iterate(rows);
    alternating.start(rows, [&](const Batch& chunk) {
      const FreeForm q(enumerate(by_ascent.model()), chunk);
      return q.probabilities(q.maximise(q.uniform(), 0.25).log_q);
    });
    EXPECT_TRUE(at::allclose(by_ascent.all(), by_em.all(), 1e-10, 1e-11)) << "step " << t;
    // One ascent in place of the maximum: no EM, but neither step lowers the bound.
    const FreeForm q(enumerate(by_halves.model()), rows.range(0, 90));
    const double before = q.bound(kept).sum().item<double>();
    EXPECT_GE(before, bound) << "the step in theta";
    kept = q.ascend(kept, 0.25).log_q;
    bound = q.bound(kept).sum().item<double>();
    EXPECT_GT(bound, before) << "the step in q";
    partial.start(rows, [&](const Batch& chunk) { return kept.index_select(1, chunk.rows).exp(); });
  }
  EXPECT_GT((by_em.all() - start).abs().max().item<double>(), 0.3) << "it has moved";
  EXPECT_FALSE(at::allclose(by_halves.all(), by_em.all(), 1e-3, 1e-3)) << "an ascent is no E step";
}

TEST(FreeForm, LeavesImpossibleCellsEmpty) {
  const auto program = [](Trace& t, const Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto k = t.sample("k", Categorical(tensor({0.5, 0.5, 0})));
    t.observe("x", Uniform(tensor({0, 2, 0}).index({k}), tensor({3, 4, 9}).index({k})), b["x"]);
  };
  const FreeForm q(enumerate(program), rows_of(tensor({1.0, 2.5, 3.5})));
  const auto found = q.probabilities(q.maximise(q.uniform(), 0.5).log_q);
  const auto truth = tensor({1, 0.4, 0, 0, 0.6, 1, 0, 0, 0}).view({3, 3});
  EXPECT_TRUE(at::allclose(found, truth, 1e-11, 1e-11)) << found;
  EXPECT_TRUE(q.bound(q.uniform()).isfinite().all().item<bool>());
  EXPECT_THROW(FreeForm(enumerate(program), rows_of(tensor({1.0, 9.5}))), NumericError);
}

TEST(FreeForm, SaysWhatIsWrong) {
  const auto table = at::zeros({3, 2}, kDouble);
  EXPECT_THROW(FreeForm(at::zeros({3}, kDouble)), ShapeError);
  EXPECT_THROW(FreeForm(table, at::ones({2}, kDouble)), ShapeError);
  EXPECT_THROW(FreeForm(table, tensor({1, 0, 1})), DomainError);
  EXPECT_THROW(FreeForm(at::full({3, 2}, NAN, kDouble)), NumericError);
  const FreeForm q(table);
  EXPECT_THROW((void)q.ascend(q.uniform(), 0), DomainError);
  EXPECT_THROW((void)q.ascend(q.uniform(), 1.5), DomainError);
  EXPECT_THROW((void)q.maximise(q.uniform(), 0.5, 0), DomainError);
  EXPECT_THROW(FreeForm(gaussian, rows_of(tensor({0.5}))), SiteError) << "z is drawn";
}

}  // namespace
}  // namespace elbo
