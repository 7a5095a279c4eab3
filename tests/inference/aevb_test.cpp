// Single steps of AEVB against the gradient by hand on toy G with a learnt slope:
// p(x | z) = N(theta z, 1), q(z) = N(m, s^2).
#include "elbo/inference/aevb.h"

#include <gtest/gtest.h>

#include <limits>

#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

constexpr double kRate = 0.05;
constexpr double kStart[] = {1.2, 0.3, 0.8};  // theta, m, s

at::Tensor leaf(double value) { return at::tensor({value}, at::kDouble).requires_grad_(); }

struct Problem {
  at::Tensor theta = leaf(kStart[0]), m = leaf(kStart[1]), s = leaf(kStart[2]);
  Batch batch = batch_of(at::tensor({1.3, -0.4, 2.2}, at::kDouble), /*total=*/12);

  Program model() const {
    return [theta = theta](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      const auto z = trace.sample("z", Normal::standard({}, at::kDouble));
      trace.observe("x", Normal(theta * z, one()), rows["x"]);
    };
  }
  Program guide() const { return toy_guide(m, s); }
  FlatParameters parameters() const {
    return FlatParameters({{"theta", {{"theta", theta}}}, {"phi", {{"m", m}, {"s", s}}}});
  }
  Aevb aevb(AevbOptions options = {}) const {
    return {model(), guide(), parameters(), std::make_unique<Sgd>(kRate), options};
  }
  /// What the guide draws at (m, s) with this noise.
  at::Tensor z_at(double loc, double scale, const Noise& noise) const {
    const auto q = toy_guide(at::tensor({loc}, at::kDouble), at::tensor({scale}, at::kDouble));
    return Trace::run(q, batch, noise).at("z").value;
  }
};

struct Gradient {
  double theta, m, s;
};

/// d per-datum SGVB-B at (theta, m, s) with draws z.
Gradient by_hand(const at::Tensor& x, const at::Tensor& z, double theta, double m, double s) {
  const auto residual = x - theta * z;
  const auto mean = [](const at::Tensor& t) { return t.mean().item<double>(); };
  const auto epsilon = (z - m) / s;
  return {mean(residual * z), mean(theta * residual) - m,
          mean(theta * residual * epsilon) - s + 1 / s};
}

constexpr double kTolerance = 1e-13;

TEST(Aevb, OneStepIsTheGradientByHand) {
  const Problem p;
  auto aevb = p.aevb();
  const auto z = p.z_at(kStart[1], kStart[2], Noise(4));
  const auto g = by_hand(p.batch["x"], z, kStart[0], kStart[1], kStart[2]);
  const StepResult result = aevb.step(p.batch, Noise(4));
  EXPECT_NEAR(p.theta.item<double>(), kStart[0] + kRate * g.theta, kTolerance);
  EXPECT_NEAR(p.m.item<double>(), kStart[1] + kRate * g.m, kTolerance);
  EXPECT_NEAR(p.s.item<double>(), kStart[2] + kRate * g.s, kTolerance);

  const double kl = 0.5 * (0.8 * 0.8 + 0.3 * 0.3 - 1) - std::log(0.8);
  const auto log_likelihood = Normal(kStart[0] * z, one()).log_prob(p.batch["x"]);
  EXPECT_NEAR(result.kl, kl, kTolerance);
  EXPECT_NEAR(result.reconstruction, log_likelihood.mean().item<double>(), kTolerance);
  EXPECT_NEAR(result.elbo, result.reconstruction - result.kl, kTolerance);
  EXPECT_EQ(result.log_prior, 0);
  EXPECT_EQ(result.gradient_evaluations, 1);
}

TEST(Aevb, RowsCountByTheirWeights) {
  Problem p;
  p.batch.weights = at::tensor({0.5, 2.0, 0.25}, at::kDouble);
  auto aevb = p.aevb();
  const auto z = p.z_at(kStart[1], kStart[2], Noise(4));
  const auto& w = p.batch.weights;
  const auto mean = [&](const at::Tensor& t) { return (w * t).mean().item<double>(); };
  const auto residual = p.batch["x"] - kStart[0] * z;
  const double m = kStart[1], s = kStart[2], all = w.mean().item<double>();
  const auto result = aevb.step(p.batch, Noise(4));
  EXPECT_NEAR(p.theta.item<double>(), kStart[0] + kRate * mean(residual * z), kTolerance);
  EXPECT_NEAR(p.m.item<double>(), m + kRate * (mean(kStart[0] * residual) - m * all), kTolerance);
  const double along_s = mean(kStart[0] * residual * (z - m) / s) + (1 / s - s) * all;
  EXPECT_NEAR(p.s.item<double>(), s + kRate * along_s, kTolerance);
  const double kl = 0.5 * (s * s + m * m - 1) - std::log(s);
  EXPECT_NEAR(result.kl, kl * all, kTolerance);
  EXPECT_NEAR(result.reconstruction, mean(Normal(kStart[0] * z, one()).log_prob(p.batch["x"])),
              kTolerance);
}

TEST(Aevb, WhatTheGuideObservesIsLearntBesideTheBound) {
  constexpr double kWeight = 3;
  const Problem plain, p;
  const auto guide = [&p](Trace& t, const Batch& rows) {
    p.guide()(t, rows);
    const auto plate = t.plate("rows", rows.rows, rows.total);
    t.observe("c", Normal(p.m, one()), at::tensor({2.0, 0.0, 0.5}, at::kDouble));
  };
  AevbOptions options;
  options.estimator = Sgvb{.supervision = kWeight};
  Aevb aevb(p.model(), guide, p.parameters(), std::make_unique<Sgd>(kRate), options);
  const auto bound = plain.aevb().step(plain.batch, Noise(4));
  const auto result = aevb.step(p.batch, Noise(4));
  EXPECT_EQ(result.elbo, bound.elbo);
  const double m = kStart[1], mean = (2.0 + 0.0 + 0.5) / 3;
  EXPECT_NEAR(p.m.item<double>(), plain.m.item<double>() + kRate * kWeight * (mean - m),
              kTolerance);
  EXPECT_EQ(p.theta.item<double>(), plain.theta.item<double>());
  const double log_q = (log_normal(2, m, 1) + log_normal(0, m, 1) + log_normal(0.5, m, 1)) / 3;
  EXPECT_NEAR(result.supervision, kWeight * log_q, kTolerance);
}

TEST(Aevb, AlternatingMovesPhiFirstAndThenThetaWithTheNewPhi) {
  const Problem p;
  auto aevb = p.aevb({.update = Update::kAlternating});
  const auto x = p.batch["x"];
  const auto first =
      by_hand(x, p.z_at(kStart[1], kStart[2], Noise(4)), kStart[0], kStart[1], kStart[2]);
  const double m = kStart[1] + kRate * first.m, s = kStart[2] + kRate * first.s;
  const auto second = by_hand(x, p.z_at(m, s, Noise(4).site("theta")), kStart[0], m, s);
  EXPECT_EQ(aevb.step(p.batch, Noise(4)).gradient_evaluations, 2);
  EXPECT_NEAR(p.m.item<double>(), m, kTolerance);
  EXPECT_NEAR(p.s.item<double>(), s, kTolerance);
  EXPECT_NEAR(p.theta.item<double>(), kStart[0] + kRate * second.theta, kTolerance);
  EXPECT_GT(std::abs(second.theta - first.theta), 1e-3) << "the order can be told";
}

TEST(Aevb, WeightPriorPullsByOneNth) {
  const Problem p;
  auto aevb = p.aevb({.weight_prior = 2});
  const auto g = by_hand(p.batch["x"], p.z_at(kStart[1], kStart[2], Noise(4)), kStart[0], kStart[1],
                         kStart[2]);
  const StepResult result = aevb.step(p.batch, Noise(4));
  const double pull = 2.0 / 12;
  EXPECT_NEAR(p.theta.item<double>(), kStart[0] + kRate * (g.theta - pull * kStart[0]), kTolerance);
  EXPECT_NEAR(p.m.item<double>(), kStart[1] + kRate * (g.m - pull * kStart[1]), kTolerance);
  double log_prior = 0;
  for (const double w : kStart) log_prior += log_normal(w, 0, 0.5);
  EXPECT_NEAR(result.log_prior, log_prior / 12, kTolerance);
}

TEST(Aevb, WeightPriorMayBeOnOneSegment) {
  for (const Update update : {Update::kJoint, Update::kAlternating}) {
    const Problem with, without;
    auto pulled = with.aevb({.update = update, .weight_prior = 2, .weight_prior_on = {"phi"}});
    auto free = without.aevb({.update = update});
    const StepResult result = pulled.step(with.batch, Noise(4));
    (void)free.step(without.batch, Noise(4));
    const double pull = kRate * 2.0 / 12;
    EXPECT_NEAR(with.m.item<double>(), without.m.item<double>() - pull * kStart[1], kTolerance);
    EXPECT_NEAR(with.s.item<double>(), without.s.item<double>() - pull * kStart[2], kTolerance);
    if (update == Update::kJoint) {
      EXPECT_EQ(with.theta.item<double>(), without.theta.item<double>());
    }
    const double log_prior = log_normal(kStart[1], 0, 0.5) + log_normal(kStart[2], 0, 0.5);
    EXPECT_NEAR(result.log_prior, log_prior / 12, kTolerance);
  }
  EXPECT_THROW((void)Problem().aevb({.weight_prior_on = {"xi"}}), ConfigError);
}

TEST(Aevb, FullDataObjectiveIsNTimesThePerDatumOne) {
  const Problem p;
  auto aevb = p.aevb({.weight_prior = 2, .full_data_objective = true});
  const auto g = by_hand(p.batch["x"], p.z_at(kStart[1], kStart[2], Noise(4)), kStart[0], kStart[1],
                         kStart[2]);
  (void)aevb.step(p.batch, Noise(4));
  EXPECT_NEAR(p.theta.item<double>(), kStart[0] + kRate * (12 * g.theta - 2 * kStart[0]), 1e-12);
  EXPECT_NEAR(p.s.item<double>(), kStart[2] + kRate * (12 * g.s - 2 * kStart[2]), 1e-12);
}

std::string failure(Aevb& aevb, const Batch& batch) {
  try {
    (void)aevb.step(batch, Noise(4));
  } catch (const NumericError& error) {
    return error.what();
  }
  return "";
}

TEST(Aevb, NamesTheTermThatIsNotFiniteAndChangesNothing) {
  for (const Update update : {Update::kJoint, Update::kAlternating}) {
    Problem p;
    auto aevb = p.aevb({.update = update, .weight_prior = 1});
    const auto before = aevb.parameters().values().clone();
    Batch broken = p.batch;
    broken.columns["x"] = at::full({3}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
    EXPECT_EQ(failure(aevb, broken), "the reconstruction log p(x|z) became nan");
    EXPECT_TRUE(aevb.parameters().values().equal(before));
    EXPECT_EQ(failure(aevb, p.batch), "") << "and it goes on";
  }
  Problem p;
  auto aevb = p.aevb();
  // With a slope of 0 the likelihood stays finite, whatever the mean.
  const at::NoGradGuard no_grad;
  p.theta.fill_(0);
  p.m.fill_(1e200);
  EXPECT_EQ(failure(aevb, p.batch), "the KL(q(z|x)||p(z)) became inf");
}

TEST(Aevb, StateIsParametersAndOptimizer) {
  const Problem p;
  auto parameters = p.parameters();
  auto adam = std::make_unique<Adam>(parameters, kRate);
  Aevb aevb(p.model(), p.guide(), parameters, std::move(adam));
  const auto state = aevb.state();
  for (const auto& [name, parameter] : parameters.named())
    EXPECT_EQ(state.at("parameters." + name).data_ptr(), parameter.data_ptr()) << name;
  const auto& [first, parameter] = parameters.named().front();
  for (const std::string& key : {"optimizer.first." + first, "optimizer.second." + first})
    EXPECT_EQ(state.at(key).sizes(), parameter.sizes()) << key;
  EXPECT_TRUE(state.contains("optimizer.steps.theta"));
}

TEST(Aevb, StateGoesByNamesNotByOrder) {
  const Problem a, b;
  const AevbOptions apart{.update = Update::kAlternating};
  const auto learner = [&](const Problem& p, FlatParameters parameters) {
    auto adam = std::make_unique<Adam>(parameters, kRate);
    return Aevb(p.model(), p.guide(), std::move(parameters), std::move(adam), apart);
  };
  auto first = learner(a, a.parameters());
  auto second = learner(
      b, FlatParameters({{"phi", {{"s", b.s}, {"m", b.m}}}, {"theta", {{"theta", b.theta}}}}));
  for (uint64_t t = 0; t < 3; ++t) (void)first.step(a.batch, Noise(4, t));
  const auto saved = first.state();
  for (auto& [name, tensor] : second.state()) tensor.copy_(saved.at(name));
  for (uint64_t t = 3; t < 6; ++t)
    EXPECT_EQ(first.step(a.batch, Noise(4, t)).elbo, second.step(b.batch, Noise(4, t)).elbo);
  EXPECT_TRUE(a.theta.equal(b.theta) && a.m.equal(b.m) && a.s.equal(b.s));
}

TEST(Aevb, IsDeterministic) {
  const Problem a, b;
  auto first = a.aevb(), second = b.aevb();
  for (uint64_t t = 0; t < 5; ++t) {
    EXPECT_EQ(first.step(a.batch, Noise(4, t)).elbo, second.step(b.batch, Noise(4, t)).elbo);
  }
  EXPECT_TRUE(first.parameters().values().equal(second.parameters().values()));
}

TEST(Aevb, RejectsInvalidOptions) {
  const Problem p;
  EXPECT_THROW((void)p.aevb({.weight_prior = -1}), ConfigError);
  auto none = p.aevb({.estimator = Sgvb{.num_particles = 0}});
  EXPECT_THROW((void)none.step(p.batch, Noise(1)), ConfigError);
  FlatParameters unnamed({{"all", {{"theta", p.theta}, {"m", p.m}, {"s", p.s}}}});
  Aevb aevb(p.model(), p.guide(), unnamed, std::make_unique<Sgd>(kRate),
            {.update = Update::kAlternating});
  EXPECT_THROW((void)aevb.step(p.batch, Noise(1)), ConfigError) << "no segment theta";
}

}  // namespace
}  // namespace elbo
