#include "elbo/inference/latent_density.h"

#include <gtest/gtest.h>

#include "elbo/inference/hmc.h"
#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

const auto kDouble = at::TensorOptions(at::kDouble);

at::Tensor points(int64_t rows, int64_t dim) {
  return Noise(31).draws(rows).normal({rows, dim}, kDouble);
}

TEST(LatentDensity, OfToyGIsTheJointDensityOfEachRowAndChain) {
  const auto batch = batch_of(at::tensor({1.3, -0.4, 2.2}, kDouble), /*total=*/12);
  const LatentDensity density(toy_model, batch, {.chains = 2});
  ASSERT_EQ(density.rows(), 6);
  ASSERT_EQ(density.dim(), 1);
  EXPECT_TRUE(density.is_by_datum());
  const auto u = points(6, 1);
  const auto value = density(u);
  for (int64_t r = 0; r < 6; ++r) {
    const double z = u[r].item<double>(), x = batch["x"][r % 3].item<double>();
    EXPECT_NEAR(value[r].item<double>(), log_normal(z, 0, 1) + log_normal(x, z, 1), 1e-13);
  }
  EXPECT_TRUE(density.values(u).at("z").equal(u.view({2, 3})));
}

/// Latents of four supports, one of which depends on another latent; no observation.
void constrained(Trace& trace, const Batch& batch) {
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto rate = trace.sample("rate", Gamma(2.5 * one(), one()));
  const auto cut = trace.sample("cut", Uniform(at::zeros({}, kDouble), rate));
  (void)trace.sample("parts", Dirichlet(at::tensor({2., 3., 4.}, kDouble)));
  const auto pair = Beta(at::tensor({2., 5.}, kDouble), 3 * one()).to_event(1);
  (void)trace.sample("pair", pair);
  (void)cut;
}

TEST(LatentDensity, CountsTheVolumeOfEveryBijection) {
  const auto batch = batch_of(at::zeros({4}, kDouble));
  const LatentDensity density(constrained, batch, {.chains = 3});
  ASSERT_EQ(density.dim(), 1 + 1 + 2 + 2);
  const auto u = points(12, 6);
  const auto z = density.values(u);
  // By hand: e^u, rate sigmoid(u), Stan's stick breaking, sigmoid(u).
  const auto flat = [&](const char* name) { return z.at(name).flatten(0, 1); };
  const auto rate = flat("rate"), cut = flat("cut"), parts = flat("parts"), pair = flat("pair");
  EXPECT_TRUE(at::allclose(rate, u.select(1, 0).exp(), 0, 1e-13));
  EXPECT_TRUE(at::allclose(cut, rate * u.select(1, 1).sigmoid(), 0, 1e-13));
  EXPECT_EQ(parts.sizes(), at::IntArrayRef({12, 3}));
  EXPECT_EQ(pair.sizes(), at::IntArrayRef({12, 2}));
  const auto first = parts.select(1, 0), second = parts.select(1, 1), rest = 1 - first;
  const auto log_det = rate.log() + (cut * (1 - cut / rate)).log() + (first * (1 - first)).log() +
                       (second * (1 - second / rest)).log() + (pair * (1 - pair)).log().sum(1);
  const auto log_p = Gamma(2.5 * one(), one()).log_prob(rate) - rate.log() +
                     Dirichlet(at::tensor({2., 3., 4.}, kDouble)).log_prob(parts) +
                     Beta(at::tensor({2., 5.}, kDouble), 3 * one()).log_prob(pair).sum(1);
  EXPECT_TRUE(at::allclose(density(u), log_p + log_det, 0, 1e-12));
}

TEST(LatentDensity, IsADensityOfU) {
  // Without an observation e^f integrates to one: of log z, z ~ Gamma, by the trapezoidal rule.
  const Program model = [](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    (void)trace.sample("z", Gamma(2.5 * one(), 0.7 * one()));
  };
  const auto u = at::linspace(-30, 8, 4000, kDouble);
  const LatentDensity density(model, batch_of(at::zeros({4000}, kDouble)));
  const double integral = density(u.unsqueeze(1)).exp().sum().item<double>() * 38 / 3999;
  EXPECT_NEAR(integral, 1, 1e-10);
}

TEST(LatentDensity, TurnsATraceIntoItsPointAndBack) {
  const auto batch = batch_of(at::zeros({4}, kDouble));
  const LatentDensity density(constrained, batch, {.chains = 3});
  const auto u = density.prior_draw(Noise(7));
  const Trace trace = Trace::run(constrained, batch, Noise(7), {.num_particles = 3});
  for (const auto& [name, value] : density.values(u))
    EXPECT_TRUE(at::allclose(value, trace.at(name).value, 1e-12)) << name;
  EXPECT_TRUE(density.unconstrained(trace).equal(u));
  const Trace empty{Noise(1)};
  EXPECT_THROW((void)density.unconstrained(empty), SiteError);
}

TEST(LatentDensity, MovesAllTogetherWhereASiteIsGlobal) {
  const Program model = [](Trace& trace, const Batch& batch) {
    const auto mean = trace.sample("mean", Normal::standard({2}, kDouble).to_event(1));
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    const auto z = trace.sample("z", Normal(mean.select(-1, 0), one()));
    trace.observe("x", Normal(z, mean.select(-1, 1).exp()), batch["x"]);
  };
  const auto batch = batch_of(at::tensor({1.3, -0.4, 2.2}, kDouble));
  const LatentDensity density(model, batch, {.chains = 2});
  EXPECT_FALSE(density.is_by_datum());
  ASSERT_EQ(density.rows(), 2);
  ASSERT_EQ(density.dim(), 2 + 3);
  const auto u = points(2, 5);
  for (int64_t c = 0; c < 2; ++c) {
    const auto at = [&](int64_t k) { return u[c][k].item<double>(); };
    double truth = log_normal(at(0), 0, 1) + log_normal(at(1), 0, 1);
    for (int64_t i = 0; i < 3; ++i)
      truth += log_normal(at(2 + i), at(0), 1) +
               log_normal(batch["x"][i].item<double>(), at(2 + i), std::exp(2 * at(1)));
    EXPECT_NEAR(density(u)[c].item<double>(), truth, 1e-12);
  }
  EXPECT_TRUE(density.unconstrained(Trace::run(model, batch, Noise(2), {.num_particles = 2}))
                  .equal(density.prior_draw(Noise(2))));
  const auto part = batch_of(at::tensor({1.3, -0.4, 2.2}, kDouble), /*total=*/12);
  EXPECT_THROW(LatentDensity(model, part), ConfigError) << "nothing to scale the rows by";
}

TEST(LatentDensity, KeepsTheLatentsOfNestedPlatesWithTheirDatum) {
  const Program model = [](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    const auto a = trace.sample("a", Normal::standard({}, kDouble));
    const auto inner = trace.plate("times", at::arange(2, at::kLong), 2);
    const auto b = trace.sample("b", Gamma(at::tensor({2., 3.}, kDouble), one()).to_event(1));
    trace.observe("x", Normal(a + b.sum(-1), one()), batch["x"]);
  };
  const auto batch = batch_of(at::tensor({1.3, -0.4, 2.2}, kDouble));
  const LatentDensity density(model, batch, {.chains = 2, .plate_dims = 2});
  ASSERT_EQ(density.rows(), 6);
  ASSERT_EQ(density.dim(), 1 + 2 * 2);
  const auto u = points(6, 5);
  const auto value = density(u);
  const auto z = density.values(u);
  EXPECT_EQ(z.at("b").sizes(), at::IntArrayRef({2, 2, 3, 2}));
  for (int64_t r = 0; r < 6; ++r) {
    const double a = u[r][0].item<double>();
    double truth = log_normal(a, 0, 1);
    for (int64_t i = 0; i < 2; ++i) {
      double sum = a;
      for (int64_t k = 0; k < 2; ++k) {
        const double v = u[r][1 + 2 * i + k].item<double>(), b = std::exp(v);
        EXPECT_NEAR(z.at("b")[r / 3][i][r % 3][k].item<double>(), b, 1e-13);
        const double shape = k == 0 ? 2 : 3;
        truth += shape * v - b - std::lgamma(shape);
        sum += b;
      }
      truth += log_normal(batch["x"][r % 3].item<double>(), sum, 1);
    }
    EXPECT_NEAR(value[r].item<double>(), truth, 1e-12) << r;
  }
  const auto draw = density.prior_draw(Noise(3));
  EXPECT_TRUE(at::allclose(
      density.values(draw).at("b"),
      Trace::run(model, batch, Noise(3), {.num_particles = 2, .plate_dims = 2}).at("b").value,
      1e-12));
}

TEST(LatentDensity, ChainsDoNotDependOnTheBatchTheirDatumIsIn) {
  const auto batch = batch_of(at::tensor({1.3, -0.4, 2.2, 0.1, 0.9}, kDouble));
  const auto run = [&](const Batch& rows) {
    const LatentDensity density(toy_model, rows, {.chains = 2});
    auto state = hmc_start(density, density.prior_draw(Noise(4)));
    for (const char* t : {"0", "1"})
      (void)hmc_transition(density, state, {at::full({1}, 0.4, kDouble), {}, 5},
                           density.keyed(Noise(5).site(t)));
    return state.position.view({2, -1});
  };
  const auto some = at::tensor({4, 1}, at::kLong);
  EXPECT_TRUE(run(subset(batch, some)).equal(run(batch).index_select(1, some)));
}

TEST(LatentDensity, RejectsWhatItCannotMove) {
  const auto batch = batch_of(at::zeros({2}, kDouble));
  const auto with = [&](const Distribution& law) {
    return LatentDensity(
        [&](Trace& trace, const Batch& rows) {
          const auto plate = trace.plate("rows", rows.rows, rows.total);
          (void)trace.sample("z", law);
        },
        batch);
  };
  EXPECT_THROW((void)with(Bernoulli::from_logits(at::zeros({}, kDouble))), SiteError);
  EXPECT_THROW((void)with(Poisson(one())), SiteError);
  const Program nothing = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    trace.observe("x", Normal::standard({}, kDouble), rows["x"]);
  };
  EXPECT_THROW(LatentDensity(nothing, batch), SiteError);
  // Where a law's parameter overflows there is no density, and no error.
  const Program far = [](Trace& trace, const Batch& rows) {
    const auto plate = trace.plate("rows", rows.rows, rows.total);
    const auto log_rate = trace.sample("log_rate", Normal::standard({}, kDouble));
    (void)trace.sample("z", Uniform(at::zeros({}, kDouble), log_rate.exp()));
  };
  const auto values =
      LatentDensity(far, batch)(at::tensor({1., 1., 800., 1.}, kDouble).view({2, 2}));
  EXPECT_TRUE(values[0].isfinite().item<bool>());
  EXPECT_FALSE(values[1].isfinite().item<bool>());
  bool more = false;  // a site that comes and goes
  const LatentDensity density(
      [&](Trace& trace, const Batch& rows) {
        const auto plate = trace.plate("rows", rows.rows, rows.total);
        (void)trace.sample("z", Normal::standard({}, kDouble));
        if (more) (void)trace.sample("other", Normal::standard({}, kDouble));
      },
      batch);
  more = true;
  EXPECT_THROW((void)density(points(2, 1)), SiteError);
}

}  // namespace
}  // namespace elbo
