// Single steps of wake-sleep against the gradient by hand on p(z) = N(0, 1), p(x | z) = N(theta z,
// 1), q(z | x) = N(a x, s^2).
#include "elbo/inference/wake_sleep.h"

#include <gtest/gtest.h>

#include <limits>

#include "elbo/inference/aevb.h"
#include "elbo/program/dream.h"
#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

constexpr double kRate = 0.05, kTolerance = 1e-13;
constexpr double kTheta = 1.2, kA = 0.3, kS = 0.8;

at::Tensor leaf(double value) { return at::tensor({value}, at::kDouble).requires_grad_(); }

struct Problem {
  at::Tensor theta = leaf(kTheta), a = leaf(kA), s = leaf(kS);
  Batch batch = batch_of(at::tensor({1.3, -0.4, 2.2}, at::kDouble), /*total=*/12);

  Program model() const {
    return [theta = theta](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      const auto z = trace.sample("z", Normal::standard({}, at::kDouble));
      trace.observe("x", Normal(theta * z, one()), rows["x"]);
    };
  }
  Program guide() const {
    return [a = a, s = s](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      (void)trace.sample("z", Normal(a * rows["x"], s));
    };
  }
  FlatParameters parameters() const {
    return FlatParameters({{"theta", {{"theta", theta}}}, {"phi", {{"a", a}, {"s", s}}}});
  }
  WakeSleep learner(WakeSleepOptions options = {}) const {
    return {model(), guide(), parameters(), std::make_unique<Sgd>(kRate), options};
  }
  /// z ~ q of the wake phase: [k, 3].
  at::Tensor wake_z(int64_t k) const {
    const at::NoGradGuard no_grad;
    return Trace::run(guide(), batch, Noise(4), {.num_particles = k}).at("z").value;
  }
};

/// sum of w over particles, mean over rows.
double weighted(const at::Tensor& w, const at::Tensor& term) {
  return (w * term).sum(0).mean().item<double>();
}

struct Guide {
  double a, s;
};
/// d log q(z | x) at the start, weighted.
Guide guide_gradient(const at::Tensor& w, const at::Tensor& x, const at::Tensor& z) {
  const auto residual = z - kA * x;
  return {weighted(w, residual * x / (kS * kS)),
          weighted(w, residual.square() / (kS * kS * kS) - 1 / kS)};
}
Guide sleep_gradient(const Problem& p) {
  const Dream d = dream(p.model(), p.batch, Noise(4).site("sleep"));
  return guide_gradient(at::ones({1, 3}, at::kDouble), d.batch["x"], d.trace.at("z").value);
}

TEST(WakeSleep, OneStepIsTheGradientByHand) {
  const Problem p;
  const auto z = p.wake_z(1), x = p.batch["x"];
  const double wake = ((x - kTheta * z) * z).mean().item<double>();
  const Guide sleep = sleep_gradient(p);
  auto learner = p.learner();
  const StepResult result = learner.step(p.batch, Noise(4));
  EXPECT_NEAR(p.theta.item<double>(), kTheta + kRate * wake, kTolerance);
  EXPECT_NEAR(p.a.item<double>(), kA + kRate * sleep.a, kTolerance);
  EXPECT_NEAR(p.s.item<double>(), kS + kRate * sleep.s, kTolerance);

  const auto log_likelihood = Normal(kTheta * z, one()).log_prob(x).mean().item<double>();
  const auto log_ratio =
      (Normal(kA * x, kS * one()).log_prob(z) - Normal::standard({}, at::kDouble).log_prob(z))
          .mean()
          .item<double>();
  EXPECT_NEAR(result.reconstruction, log_likelihood, kTolerance);
  EXPECT_NEAR(result.kl, log_ratio, kTolerance);
  EXPECT_NEAR(result.elbo, log_likelihood - log_ratio, kTolerance);
  EXPECT_EQ(result.gradient_evaluations, 2) << "awake and asleep";
}

TEST(WakeSleep, ReportsTheBoundThatAevbWould) {
  const Problem p, same;
  auto learner = p.learner({.num_particles = 4});
  auto parameters = same.parameters();
  Aevb aevb(same.model(), same.guide(), parameters, std::make_unique<Sgd>(kRate),
            {.estimator = Sgvb{.form = SgvbForm::kA, .num_particles = 4}});
  const auto a = learner.step(p.batch, Noise(4)), b = aevb.step(same.batch, Noise(4));
  EXPECT_NEAR(a.elbo, b.elbo, kTolerance);
  EXPECT_NEAR(a.kl, b.kl, kTolerance);
}

class Reweighted : public ::testing::TestWithParam<GuidePhase> {};

TEST_P(Reweighted, OneStepIsTheGradientByHand) {
  const Problem p;
  const auto z = p.wake_z(3), x = p.batch["x"];
  const auto log_w = Normal::standard({}, at::kDouble).log_prob(z) +
                     Normal(kTheta * z, one()).log_prob(x) - Normal(kA * x, kS * one()).log_prob(z);
  const auto w = log_w.exp() / log_w.exp().sum(0);
  const double wake = weighted(w, (x - kTheta * z) * z);
  const Guide awake = guide_gradient(w, x, z), asleep = sleep_gradient(p);
  const double part = GetParam() == GuidePhase::kSleep  ? 0
                      : GetParam() == GuidePhase::kWake ? 1
                                                        : 0.5;
  auto learner = p.learner({.num_particles = 3, .guide_phase = GetParam()});
  const auto result = learner.step(p.batch, Noise(4));
  EXPECT_NEAR(p.theta.item<double>(), kTheta + kRate * wake, kTolerance);
  EXPECT_NEAR(p.a.item<double>(), kA + kRate * (part * awake.a + (1 - part) * asleep.a),
              kTolerance);
  EXPECT_NEAR(p.s.item<double>(), kS + kRate * (part * awake.s + (1 - part) * asleep.s),
              kTolerance);
  EXPECT_NEAR(result.elbo, log_w.mean().item<double>(), kTolerance);
  EXPECT_EQ(result.gradient_evaluations, GetParam() == GuidePhase::kWake ? 3 : 4);
}

INSTANTIATE_TEST_SUITE_P(All, Reweighted,
                         ::testing::Values(GuidePhase::kSleep, GuidePhase::kWake,
                                           GuidePhase::kBoth));

TEST(WakeSleep, PriorAndScaleAreThoseOfAevb) {
  const Problem plain, scaled;
  auto first = plain.learner();
  (void)first.step(plain.batch, Noise(4));
  auto second = scaled.learner({.weight_prior = 2, .full_data_objective = true});
  const auto result = second.step(scaled.batch, Noise(4));
  const double gradient = (plain.theta.item<double>() - kTheta) / kRate;
  EXPECT_NEAR(scaled.theta.item<double>(), kTheta + kRate * (12 * gradient - 2 * kTheta), 1e-12);
  double log_prior = 0;
  for (const double w : {kTheta, kA, kS}) log_prior += log_normal(w, 0, 0.5);
  EXPECT_NEAR(result.log_prior, log_prior / 12, kTolerance);
}

// ---------------------------------------------------------------- the sleep phase's fixed point

/// Equally likely points of mean 0 and variance 1, moved by `loc`, a row each, in place of draws:
/// sums over them are moments of N(loc, 1) up to the second, which is all that log q reads.
class Points final : public DistributionBase<Points> {
 public:
  Points(at::Tensor loc, at::Tensor points)
      : DistributionBase<Points>(loc.sizes().vec(), {}), loc_(loc), points_(points) {}
  std::string name() const override { return "Points"; }
  at::Tensor sample(const Noise&, at::IntArrayRef) const override { return loc_ + points_; }
  at::Tensor log_prob(const at::Tensor& x) const override {
    return Normal(loc_, one()).log_prob(x);
  }
  DistributionPtr expand(at::IntArrayRef shape) const override {
    return std::make_shared<Points>(loc_.expand(shape), points_);
  }

 private:
  at::Tensor loc_, points_;
};

struct Fit {
  double a, b, variance;
};
/// q(z | column) = N(a column + b, variance) after learning on dreams of toy G.
Fit fitted(const std::string& column, int steps) {
  const auto model = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    const auto z = trace.sample("z", Points(at::zeros({1, 4}, at::kDouble),
                                            at::tensor({-1.0, -1.0, 1.0, 1.0}, at::kDouble)));
    trace.observe("x", Points(z, at::tensor({-1.0, 1.0, -1.0, 1.0}, at::kDouble)), rows["x"]);
  };
  const auto a = leaf(-1), b = leaf(4), log_s = leaf(1);
  const auto guide = [=](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", Normal(a * rows[column] + b, log_s.exp()));
  };
  Batch batch = batch_of(at::tensor({1.3, -0.4, 2.2, 0.1}, at::kDouble));
  batch.columns["y"] = batch["x"];
  WakeSleep learner(model, guide, FlatParameters({{"phi", {{"a", a}, {"b", b}, {"s", log_s}}}}),
                    std::make_unique<Sgd>(0.1));
  for (int t = 0; t < steps; ++t) (void)learner.step(batch, Noise(4, static_cast<uint64_t>(t)));
  return {a.item<double>(), b.item<double>(), std::exp(2 * log_s.item<double>())};
}

TEST(WakeSleep, SleepFixedPointIsThePosteriorOfALinearGaussianJoint) {
  const Fit fit = fitted("x", 1000);
  EXPECT_NEAR(fit.a, 0.5, 1e-6);
  EXPECT_NEAR(fit.b, 0, 1e-6);
  EXPECT_NEAR(fit.variance, 0.5, 1e-6);
  EXPECT_GT(std::abs(fitted("x", 10).variance - 0.5), 1e-3) << "an early stop is seen";
}

TEST(WakeSleep, AGuideShownTheDataInTheSleepPhaseIsElsewhere) {  // the planted bug
  EXPECT_GT(std::abs(fitted("y", 1000).a - 0.5), 0.1);
}

// ---------------------------------------------------------------- programs

TEST(WakeSleep, LearnsAGuideOfADiscreteSite) {
  const auto slope = leaf(0);
  const auto model = [=](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    const auto z = trace.sample("z", Bernoulli(at::full({1}, 0.5, at::kDouble)));
    trace.observe("x", Normal(1.2 * (2 * z - 1), one()), rows["x"]);
  };
  const auto guide = [=](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", Bernoulli::from_logits(slope * rows["x"]));
  };
  const FlatParameters parameters({{"phi", {{"slope", slope}}}});
  const auto batch = batch_of(at::full({50}, 1.0, at::kDouble));
  WakeSleep learner(model, guide, parameters, std::make_unique<Sgd>(0.5));
  for (uint64_t t = 0; t < 300; ++t) (void)learner.step(batch, Noise(1, t));
  EXPECT_NEAR(slope.item<double>(), 2 * 1.2, 0.6) << "that of the posterior's log-odds";
  // AEVB sums both values out: its gradient has no noise, and it ends at the posterior itself.
  Aevb aevb(model, guide, parameters, std::make_unique<Sgd>(0.5));
  for (uint64_t t = 0; t < 300; ++t) (void)aevb.step(batch, Noise(1, t));
  EXPECT_NEAR(slope.item<double>(), 2 * 1.2, 1e-3);
}

TEST(WakeSleep, RejectsProgramsThatDoNotFit) {
  const Problem p;
  const auto step = [&](const Program& model, const Program& guide, const Batch& batch) {
    WakeSleep learner(model, guide, p.parameters(), std::make_unique<Sgd>(kRate));
    (void)learner.step(batch, Noise(4));
  };
  const auto empty = [](Trace&, const Batch&) {};
  EXPECT_THROW(step(p.model(), empty, p.batch), SiteError);
  const auto global = [&](Trace& trace, const Batch& rows) {
    (void)trace.sample("w", Normal::standard({}, at::kDouble));
    p.model()(trace, rows);
  };
  const auto global_guide = [&](Trace& trace, const Batch& rows) {
    (void)trace.sample("w", Normal::standard({}, at::kDouble));
    p.guide()(trace, rows);
  };
  EXPECT_THROW(step(global, global_guide, p.batch), SiteError);
  FlatParameters unused({{"phi", {{"unused", leaf(1)}}}});
  WakeSleep idle(toy_model, toy_guide(one(), one()), unused, std::make_unique<Sgd>(kRate));
  EXPECT_THROW((void)idle.step(p.batch, Noise(4)), ConfigError);
}

TEST(WakeSleep, NamesTheTermThatIsNotFiniteAndChangesNothing) {
  const Problem p;
  auto learner = p.learner();
  const at::NoGradGuard no_grad;
  p.theta.fill_(1e200);
  const auto before = learner.parameters().values().clone();
  try {
    (void)learner.step(p.batch, Noise(4));
    ADD_FAILURE() << "no error";
  } catch (const NumericError& error) {
    EXPECT_STREQ(error.what(), "the reconstruction log p(x|z) became -inf");
  }
  EXPECT_TRUE(learner.parameters().values().equal(before));
}

TEST(WakeSleep, RejectsInvalidOptions) {
  const Problem p;
  EXPECT_THROW((void)p.learner({.num_particles = 0}), ConfigError);
  EXPECT_THROW((void)p.learner({.num_particles = 1, .guide_phase = GuidePhase::kWake}),
               ConfigError);
  EXPECT_THROW((void)p.learner({.weight_prior = -1}), ConfigError);
}

TEST(WakeSleep, StateIsParametersAndOptimizer) {
  const Problem p;
  auto parameters = p.parameters();
  auto adam = std::make_unique<Adam>(parameters, kRate);
  const WakeSleep learner(p.model(), p.guide(), parameters, std::move(adam));
  const auto state = learner.state();
  for (const auto& [name, parameter] : parameters.named())
    EXPECT_EQ(state.at("parameters." + name).data_ptr(), parameter.data_ptr()) << name;
  EXPECT_TRUE(state.contains("optimizer.first." + parameters.named().front().first));
}

}  // namespace
}  // namespace elbo
