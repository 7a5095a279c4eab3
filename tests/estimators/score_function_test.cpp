#include "elbo/estimators/score_function.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/estimators/sgvb.h"
#include "elbo/inference/aevb.h"
#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

at::Tensor leaf(double value) { return at::tensor({value}, at::kDouble).requires_grad_(); }

const Batch kBatch = batch_of(at::tensor({1.3, -0.4, 2.0}, at::kDouble));

TEST(ScoreFunction, HasTheValuesOfSgvbA) {
  const auto guide = toy_guide(leaf(0.2), leaf(0.9));
  const auto score = ScoreFunction{4}(toy_model, guide, kBatch, Noise(3));
  const auto path = Sgvb{SgvbForm::kA, 4}(toy_model, guide, kBatch, Noise(3));
  EXPECT_TRUE(score.rows().allclose(path.rows(), 0, 1e-14));
  EXPECT_TRUE(score.kl.allclose(path.kl, 0, 1e-14));
  EXPECT_TRUE(score.reconstruction.allclose(path.reconstruction, 0, 1e-14));
}

TEST(ScoreFunction, OneDrawIsTheGradientByHand) {
  const auto theta = leaf(1.2), m = leaf(0.2), s = leaf(0.9);
  const auto model = [&](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    const auto z = trace.sample("z", Normal::standard({}, at::kDouble));
    trace.observe("x", Normal(theta * z, one()), batch["x"]);
  };
  const auto guide = toy_guide(m, s);
  auto constant = std::make_shared<MovingAverage>();
  constant->learn(kBatch, at::full({1, 3}, -2.0, at::kDouble));
  const auto bound = ScoreFunction{1, constant}(model, guide, kBatch, Noise(3));
  bound.rows().sum().backward();

  const at::NoGradGuard no_grad;
  const auto z = Trace::run(guide, kBatch, Noise(3)).at("z").value, x = kBatch["x"];
  const auto f = bound.reconstruction - bound.kl;
  const auto expect = [](const at::Tensor& got, const at::Tensor& hand) {
    EXPECT_NEAR(got.item<double>(), hand.sum().item<double>(), 1e-12);
  };
  expect(theta.grad(), (x - 1.2 * z) * z);
  expect(m.grad(), (f + 2) * (z - 0.2) / 0.81);
  expect(s.grad(), (f + 2) * ((z - 0.2).square() / (0.81 * 0.9) - 1 / 0.9));
}

TEST(ScoreFunction, LearnsOnlyWhereGradientsAreTaken) {
  const auto average = std::make_shared<MovingAverage>();
  const ScoreFunction score{2, average};
  const auto guide = toy_guide(leaf(0.2), leaf(0.9));
  const auto weight = [&] { return average->state().at("sums")[1].item<double>(); };
  {
    const at::NoGradGuard no_grad;
    (void)score(toy_model, guide, kBatch, Noise(3));
  }
  EXPECT_EQ(weight(), 0);
  (void)score(toy_model, guide, kBatch, Noise(3));
  EXPECT_EQ(weight(), 1);
}

TEST(ScoreFunction, TakesDiscreteSites) {
  // E_q of a coin, summed by hand: f(1) - f(0) times d prob / d logit, in the mean.
  const auto logit = at::full({200'000}, 0.4, at::kDouble).requires_grad_();
  const auto batch = batch_of(at::full({200'000}, 1.3, at::kDouble));
  const auto model = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    const auto z = trace.sample("z", Bernoulli(at::full({1}, 0.3, at::kDouble)));
    trace.observe("x", Normal(z, one()), rows["x"]);
  };
  const auto guide = [&](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    (void)trace.sample("z", Bernoulli::from_logits(logit));
  };
  const double q = 1 / (1 + std::exp(-0.4));
  const double f1 = log_normal(1.3, 1, 1) + std::log(0.3) - std::log(q);
  const double f0 = log_normal(1.3, 0, 1) + std::log(0.7) - std::log(1 - q);
  const double truth = q * (1 - q) * (f1 - f0);
  ScoreFunction{}(model, guide, batch, Noise(3)).rows().sum().backward();
  EXPECT_LE(estimate(logit.grad()).z(truth), kZStar);
  // SGVB takes the sum itself.
  logit.mutable_grad().reset();
  Sgvb{}(model, guide, batch, Noise(3)).rows().sum().backward();
  EXPECT_LE((logit.grad() - truth).abs().max().item<double>(), 1e-12);
}

TEST(ScoreFunction, IsRefusedWhereTheSupportMoves) {
  const auto guide = [](const at::Tensor& high) {
    return [=](Trace& trace, const Batch& batch) {
      const auto plate = trace.plate("rows", batch.rows, batch.total);
      (void)trace.sample("z", Uniform(-3 * one(), high));
    };
  };
  EXPECT_THROW((void)ScoreFunction{}(toy_model, guide(leaf(3)), kBatch, Noise(3)),
               UnsupportedError);
  EXPECT_NO_THROW((void)ScoreFunction{}(toy_model, guide(3 * one()), kBatch, Noise(3)));
}

TEST(ScoreFunction, RejectsGlobalSitesAndNoDraws) {
  const auto global = [](Trace& trace, const Batch& batch) {
    (void)trace.sample("w", Normal::standard({}, at::kDouble));
    if (batch.total < 0) return;
  };
  EXPECT_THROW((void)ScoreFunction{}(global, global, kBatch, Noise(3)), SiteError);
  EXPECT_THROW((void)ScoreFunction{0}(toy_model, toy_guide(one(), one()), kBatch, Noise(3)),
               ConfigError);
  const ScoreFunction lonely{1, std::make_shared<LeaveOneOut>()};
  EXPECT_THROW((void)lonely(toy_model, toy_guide(leaf(0), leaf(1)), kBatch, Noise(3)), ConfigError);
}

TEST(ScoreFunction, IsALearnerWhoseStateHoldsTheBaseline) {
  const auto m = leaf(-3), s = leaf(1);
  const ScoreFunction score{8, std::make_shared<MovingAverage>()};
  FlatParameters parameters({{"phi", {{"m", m}, {"s", s}}}});
  auto adam = std::make_unique<Adam>(parameters, 0.02);
  Aevb aevb(toy_model, toy_guide(m, s), parameters, std::move(adam),
            {.estimator = score, .estimator_state = score.state()});
  const auto batch = batch_of(at::full({50}, 1.3, at::kDouble));
  for (uint64_t t = 0; t < 800; ++t) (void)aevb.step(batch, Noise(4, t));
  EXPECT_NEAR(m.item<double>(), 0.65, 0.05);
  EXPECT_NEAR(s.item<double>(), std::sqrt(0.5), 0.05);
  EXPECT_TRUE(aevb.state().at("estimator.sums").is_same(score.state().at("sums")));
}

}  // namespace
}  // namespace elbo
