// Single steps of Monte Carlo EM against their parts by hand, on toy G with a learnt slope:
// p(x | z) = N(theta z, 1).
#include "elbo/inference/mcem.h"

#include <gtest/gtest.h>

#include <limits>

#include "elbo/inference/dual_averaging.h"
#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

constexpr double kRate = 0.05, kStart = 1.2;

struct Problem {
  at::Tensor theta = at::tensor({kStart}, at::kDouble).requires_grad_();
  at::Tensor phi = at::tensor({0.7}, at::kDouble).requires_grad_();
  Batch batch = batch_of(at::tensor({1.3, -0.4, 2.2}, at::kDouble), /*total=*/12);

  Program model() const {
    return [theta = theta](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      const auto z = trace.sample("z", Normal::standard({}, at::kDouble));
      trace.observe("x", Normal(theta * z, one()), rows["x"]);
    };
  }
  FlatParameters parameters() const {
    return FlatParameters({{"theta", {{"theta", theta}}}, {"phi", {{"phi", phi}}}});
  }
  Mcem mcem(McemOptions options = {}, Program guide = {}) const {
    return {model(), parameters(), std::make_unique<Sgd>(kRate), options, std::move(guide)};
  }
};

/// z after `transitions` from `start`, with the step size the learner would find and adapt.
struct Chain {
  at::Tensor z;
  double log_step = 0, acceptance = 0;
};
Chain chain_by_hand(const Problem& p, const at::Tensor& start, int transitions,
                    const Noise& noise) {
  const LatentDensity density(p.model(), p.batch);
  auto state = hmc_start(density, start);
  const auto each = reasonable_step_size(density, state, at::ones({3}, at::kDouble), {},
                                         density.keyed(noise.site("step size")));
  Chain out{.z = {}, .log_step = std::log(0.5 * each.median().item<double>())};
  for (int t = 0; t < transitions; ++t) {
    const auto size = at::full({1}, std::exp(out.log_step), at::kDouble);
    const auto outcome = hmc_transition(density, state, {size, {}, 10},
                                        density.keyed(noise.site(std::to_string(t))));
    const double acceptance = outcome.acceptance.mean().item<double>();
    out.log_step += 0.5 * (acceptance - 0.9);
    out.acceptance += acceptance / transitions;
  }
  out.z = state.position.view({3});
  return out;
}

TEST(Mcem, OneStepIsAChainInEachPosteriorAndFiveUpdatesAtItsEnd) {
  const Problem p;
  const Noise noise(4, 2);
  const auto start = LatentDensity(p.model(), p.batch).prior_draw(noise.site("start"));
  const Chain chain = chain_by_hand(p, start, 11, noise);
  auto mcem = p.mcem();
  const StepResult result = mcem.step(p.batch, noise);
  double theta = kStart;
  for (int update = 0; update < 5; ++update)
    theta += kRate * ((p.batch["x"] - theta * chain.z) * chain.z).mean().item<double>();
  EXPECT_NEAR(p.theta.item<double>(), theta, 1e-13);
  EXPECT_NE(theta, kStart);
  EXPECT_EQ(p.phi.item<double>(), 0.7) << "the guide's segment rests";
  const auto log_x = Normal(kStart * chain.z, one()).log_prob(p.batch["x"]).mean();
  const auto log_z = Normal::standard({}, at::kDouble).log_prob(chain.z).mean();
  EXPECT_NEAR(result.elbo, (log_x + log_z).item<double>(), 1e-12);
  EXPECT_NEAR(result.reconstruction, log_x.item<double>(), 1e-12);
  EXPECT_EQ(result.kl, 0);
  EXPECT_EQ(result.log_prior, 0);
  EXPECT_NEAR(mcem.chains().acceptance, chain.acceptance, 1e-12);
  EXPECT_NEAR(std::log(mcem.step_size()), chain.log_step, 1e-12);
  EXPECT_EQ(mcem.chains().gradient_evaluations, 1 + 11 * 10);
  EXPECT_EQ(result.gradient_evaluations, 1 + 11 * 10 + 5);
  EXPECT_EQ(mcem.chains().divergences, 0);
}

TEST(Mcem, StartsInTheGuideWhereAsked) {
  const Problem p;
  const Noise noise(4);
  const auto guide = toy_guide(at::tensor({5., 6., 7.}, at::kDouble), 0.1 * one());
  const auto start = Trace::run(guide, p.batch, noise.site("start")).at("z").value.view({3, 1});
  const Chain chain = chain_by_hand(p, start, 2, noise);
  auto mcem = p.mcem({.weight_updates = 1, .start = ChainStart::kGuide, .burn_in = 1}, guide);
  (void)mcem.step(p.batch, noise);
  const double slope = ((p.batch["x"] - kStart * chain.z) * chain.z).mean().item<double>();
  EXPECT_NEAR(p.theta.item<double>(), kStart + kRate * slope, 1e-13);
  EXPECT_THROW((void)p.mcem({.start = ChainStart::kGuide}), ConfigError);
}

TEST(Mcem, PersistentChainsGoOnWhereTheyWere) {
  const Problem p;
  auto mcem = p.mcem({.start = ChainStart::kPersistent, .rows = 12, .latent_dim = 1});
  const auto positions = mcem.state().at("chains.positions");
  EXPECT_EQ(positions.sizes(), at::IntArrayRef({12, 1}));
  (void)mcem.step(p.batch, Noise(4, 0));
  EXPECT_EQ(mcem.chains().gradient_evaluations, 1 + 11 * 10) << "burn-in at the first visit";
  EXPECT_TRUE(positions.narrow(0, 0, 3).isfinite().all().item<bool>());
  EXPECT_TRUE(positions.narrow(0, 3, 9).isnan().all().item<bool>()) << "never visited";

  const double theta = p.theta.item<double>(), log_step = std::log(mcem.step_size());
  const LatentDensity density(p.model(), p.batch);
  auto state = hmc_start(density, positions.narrow(0, 0, 3).clone());
  (void)hmc_transition(density, state, {at::full({1}, std::exp(log_step), at::kDouble), {}, 10},
                       density.keyed(Noise(4, 1).site("0")));
  (void)mcem.step(p.batch, Noise(4, 1));
  EXPECT_EQ(mcem.chains().gradient_evaluations, 1 + 10);
  EXPECT_TRUE(at::allclose(positions.narrow(0, 0, 3), state.position, 0, 1e-13));
  EXPECT_NE(p.theta.item<double>(), theta);

  Batch other = p.batch;
  other.rows = at::tensor({2, 12, 4}, at::kLong);
  EXPECT_THROW((void)mcem.step(other, Noise(4, 2)), ConfigError) << "a row beyond the last";
  auto wide = p.mcem({.start = ChainStart::kPersistent, .rows = 12, .latent_dim = 2});
  EXPECT_THROW((void)wide.step(p.batch, Noise(1)), ConfigError);
}

TEST(Mcem, GoesOnBitExactlyFromItsState) {
  const McemOptions options{.start = ChainStart::kPersistent, .rows = 12, .latent_dim = 1};
  const Problem whole, first, second;
  auto a = whole.mcem(options), b = first.mcem(options), c = second.mcem(options);
  for (uint64_t t = 0; t < 4; ++t) (void)a.step(whole.batch, Noise(4, t));
  for (uint64_t t = 0; t < 2; ++t) (void)b.step(first.batch, Noise(4, t));
  const auto saved = b.state();
  for (auto& [name, tensor] : c.state()) tensor.copy_(saved.at(name));
  for (uint64_t t = 2; t < 4; ++t) (void)c.step(second.batch, Noise(4, t));
  EXPECT_TRUE(c.parameters().values().equal(a.parameters().values()));
  EXPECT_EQ(c.step_size(), a.step_size());
}

TEST(Mcem, WeightPriorPullsTheModelByOneNth) {
  const Problem with, without;
  auto a = with.mcem({.weight_updates = 1, .weight_prior = 2});
  auto b = without.mcem({.weight_updates = 1});
  const auto result = a.step(with.batch, Noise(4));
  (void)b.step(without.batch, Noise(4));
  EXPECT_NEAR(with.theta.item<double>(), without.theta.item<double>() - kRate * 2.0 / 12 * kStart,
              1e-13);
  EXPECT_NEAR(result.log_prior, log_normal(kStart, 0, 0.5) / 12, 1e-13);
}

TEST(Mcem, TunesItsStepSizeToTheTarget) {
  const Problem p;
  auto mcem = p.mcem({.start = ChainStart::kPersistent, .rows = 3, .latent_dim = 1});
  double acceptance = 0;
  for (uint64_t t = 0; t < 1000; ++t) {
    (void)mcem.step(p.batch, Noise(4, t));
    if (t >= 200) acceptance += mcem.chains().acceptance / 800;
  }
  EXPECT_NEAR(acceptance, 0.9, 0.01);
}

TEST(Mcem, SaysWhatIsNotFiniteAndChangesNoWeight) {
  Problem p;
  auto mcem = p.mcem();
  Batch broken = p.batch;
  broken.columns["x"] = at::full({3}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  EXPECT_THROW((void)mcem.step(broken, Noise(4)), NumericError);
  EXPECT_EQ(p.theta.item<double>(), kStart);
  EXPECT_GT(mcem.step(p.batch, Noise(4)).elbo, -100) << "and it goes on";
}

TEST(Mcem, RejectsWhatItCannotLearn) {
  const Problem p;
  EXPECT_THROW((void)p.mcem({.leapfrog_steps = 0}), ConfigError);
  EXPECT_THROW((void)p.mcem({.target_acceptance = 0}), ConfigError);
  EXPECT_THROW((void)p.mcem({.weight_updates = 0}), ConfigError);
  EXPECT_THROW((void)p.mcem({.start = ChainStart::kPersistent}), ConfigError);
  EXPECT_THROW((void)p.mcem({.transitions = 0}), ConfigError);
  EXPECT_THROW((void)p.mcem({.burn_in = -1}), ConfigError);
  EXPECT_THROW((void)p.mcem({.weight_prior = -1}), ConfigError);
  const Program global = [theta = p.theta](Trace& trace, const Batch& rows) {
    const auto mean = trace.sample("mean", Normal::standard({}, at::kDouble));
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    trace.observe("x", Normal(theta * mean, one()), rows["x"]);
  };
  Mcem mcem(global, p.parameters(), std::make_unique<Sgd>(kRate));
  EXPECT_THROW((void)mcem.step(batch_of(p.batch["x"]), Noise(1)), SiteError);
}

}  // namespace
}  // namespace elbo
