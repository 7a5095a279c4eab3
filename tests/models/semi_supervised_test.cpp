#include "elbo/models/semi_supervised.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "elbo/data/batch_source.h"
#include "elbo/data/labels.h"
#include "elbo/distributions/kl.h"
#include "elbo/estimators/partly_observed.h"
#include "elbo/estimators/sgvb.h"
#include "elbo/evaluation/classification.h"
#include "elbo/inference/aevb.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kClasses = 3;

SemiSupervisedConfig config_of(bool stacked) {
  SemiSupervisedConfig config{
      .data_dim = 6, .classes = kClasses, .latent_dim = 2, .hidden = {8, 7}};
  if (stacked) config.features = VaeConfig{.data_dim = 6, .latent_dim = 4, .hidden = {5}};
  return config;
}

/// With weights; those of M1 too.
std::unique_ptr<SemiSupervised> started(SemiSupervisedConfig config) {
  auto model = std::make_unique<SemiSupervised>(std::move(config), kDouble);
  initialise_model(*model, nn::Init::kXavier, 1);
  if (model->fixed().empty()) return model;
  const auto vae = VaeConfig::from_json(model->config().at("features"));
  Vae features(vae, kDouble);
  initialise_model(features, nn::Init::kXavier, 2);
  model->set_features(features);
  return model;
}

Batch rows_of(int64_t count) {
  return {.columns = {{"x", Noise(9).uniform({count, 6}, kDouble)}},
          .rows = at::arange(count, at::kLong),
          .total = count};
}

TEST(SemiSupervised, UnlabelledBoundIsTheSumOverLabelsAndTheEntropy) {
  const auto model = started(config_of(/*stacked=*/false));
  const auto batch = rows_of(5);
  const auto log_q = model->classify(batch["x"]).logits();  // [M, K]
  for (const SgvbForm form : {SgvbForm::kA, SgvbForm::kB}) {
    const auto u = Sgvb{.form = form}(model->model(), model->guide(), batch, Noise(3)).rows();
    // U(x) = sum_y q(y|x) L(x, y) + H(q(y|x)), each L(x, y) as of a row whose label is known; from
    // the noise that the y-th value's draw has, which is that of the y-th particle.
    const Sgvb each{.form = form, .num_particles = kClasses};
    at::Tensor sum = at::zeros({5}, kDouble);
    for (int64_t y = 0; y < kClasses; ++y) {
      Batch labelled = batch;
      labelled.columns["y"] = at::full({5}, y, at::kLong);
      const auto l = each(model->model(), model->guide(), labelled, Noise(3)).rows()[y];
      sum = sum + log_q.select(1, y).exp() * l;
    }
    const auto entropy = -(log_q.exp() * log_q).sum(1);
    EXPECT_TRUE(at::allclose(u[0], sum + entropy, 1e-11, 1e-11));
    EXPECT_GT((u[0] - sum).abs().min().item<double>(), 1e-3);  // planted: without H(q)
  }
}

TEST(SemiSupervised, StackedBoundHasTheTermsOfAllSites) {
  const auto model = started(config_of(/*stacked=*/true));
  Vae vae(VaeConfig::from_json(model->config().at("features")), kDouble);
  initialise_model(vae, nn::Init::kXavier, 2);
  const auto batch = rows_of(5);
  const TraceOptions options{.draw_each = true};
  const Trace q = Trace::run(enumerate(model->guide()), batch, Noise(3), options);
  const Trace p =
      Trace::run(replay(model->model(), q), batch, Noise(3), {.enumerated = q.enumerated_sizes()});
  const auto z1 = q.at("z1").value, z2 = q.at("z2").value;
  EXPECT_EQ(z1.sizes(), at::IntArrayRef({1, 5, 4}));
  EXPECT_EQ(z2.sizes(), at::IntArrayRef({kClasses, 1, 5, 2}));
  const auto log_q_y = q.at("y").log_prob().squeeze(1);  // [K, M]
  const auto log_joint = p.at("z1").log_prob().squeeze(1) - std::log(kClasses);
  const auto prior = Normal::standard({2}, kDouble).to_event(1);
  const auto kl_z2 = kl_divergence(*q.at("z2").distribution, prior).squeeze(1);
  const auto truth = vae.decode(z1).log_prob(batch["x"])[0] -
                     vae.encode(batch["x"]).log_prob(z1)[0] +
                     (log_q_y.exp() * (log_joint - kl_z2 - log_q_y)).sum(0);
  const auto u = Sgvb{}(model->model(), model->guide(), batch, Noise(3)).rows();
  EXPECT_TRUE(at::allclose(u[0], truth, 1e-11, 1e-11));
}

/// Rows of three kinds, each a bright pair of six pixels, with noise; labels 0, 1, 2, 0, ...
data::Part three_kinds(int64_t count) {
  const auto y = at::arange(count, at::kLong).remainder(kClasses);
  const auto bright = at::one_hot(y, kClasses).to(kDouble).repeat_interleave(2, 1);
  return {.x = (0.02 + 0.97 * bright - 0.01 * Noise(5).uniform({count, 6}, kDouble)).clamp(0, 1),
          .labels = y};
}

/// M1 of a stacked model, learnt by itself.
void learn_features(SemiSupervised& model, const data::BatchSource& source) {
  Vae vae(VaeConfig::from_json(model.config().at("features")), kDouble);
  initialise_model(vae, nn::Init::kXavier, 2);
  FlatParameters parameters(vae.parameters());
  Aevb learner(vae.model(), vae.guide(), parameters, make_optimizer("adam", parameters, 0.01));
  for (uint64_t step = 0; step < 2000; ++step)
    learner.step(source.range(static_cast<int64_t>(step % 6) * 50, 50, Noise(1)), Noise(4, step));
  model.set_features(vae);
}

TEST(SemiSupervised, LearnsClassesFromFewLabels) {
  for (const bool stacked : {false, true}) {
    const auto model = started(config_of(stacked));
    const auto part = three_kinds(300);
    const data::BatchSource plain(part, 1, data::Binarize::kNone, at::kDouble);
    const auto source = plain.with_labels(data::balanced_labels(part.labels, 6, 1), 6);
    if (stacked) learn_features(*model, plain);
    const auto fixed = model->fixed();
    const auto before = fixed.empty() ? at::Tensor() : fixed.front().second.clone();
    FlatParameters parameters(model->parameters());
    AevbOptions options;
    options.estimator = PartlyObserved{Sgvb{.supervision = 0.1 * 300 / 6}};
    Aevb learner(model->model(), model->guide(), parameters,
                 make_optimizer("adam", parameters, 0.01), options);
    const auto error = [&] {
      return error_rate(class_probabilities(*model, plain), part.labels).rate;
    };
    EXPECT_GT(error(), 0.3);
    StepResult first, last;
    for (uint64_t step = 0; step < (stacked ? 800U : 200U); ++step) {
      const Noise noise(2, step);
      last = learner.step(source.range(static_cast<int64_t>(step % 5) * 50, 50, noise), noise);
      if (step == 0) first = last;
    }
    EXPECT_LT(error(), 0.05) << stacked;
    EXPECT_GT(last.elbo, first.elbo);
    EXPECT_GT(last.supervision, first.supervision);
    if (stacked) {
      EXPECT_TRUE(fixed.front().second.equal(before));  // M1 does not move
    }
  }
}

TEST(SemiSupervised, LatentVariablesAreTheLabelAndTheStyle) {
  for (const bool stacked : {false, true}) {
    const auto model = started(config_of(stacked));
    const auto x = rows_of(4)["x"];
    EXPECT_EQ(model->latent_dim(), kClasses + 2);
    const auto code = model->encode(x).mean();
    const auto y = model->classify(x).mode();
    EXPECT_TRUE(code.narrow(1, 0, kClasses).argmax(1).equal(y));
    EXPECT_TRUE(at::allclose(code.narrow(1, kClasses, 2), model->style(x, y).mean()));
    EXPECT_TRUE(at::allclose(model->decode(code).mean(),
                             model->generate(y, model->style(x, y).mean()).mean()));
    const auto prior = model->sample_prior(300, Noise(1).draws(300));
    EXPECT_EQ(prior.sizes(), at::IntArrayRef({300, kClasses + 2}));
    EXPECT_TRUE(prior.narrow(1, 0, kClasses).sum(1).eq(1).all().item<bool>());
    EXPECT_TRUE(prior.narrow(1, 0, kClasses).sum(0).gt(60).all().item<bool>());
  }
}

TEST(SemiSupervised, IsBuiltAgainFromItsConfiguration) {
  for (const bool stacked : {false, true}) {
    const auto model = started(config_of(stacked));
    const auto again = make_model(model->config(), kDouble);
    EXPECT_EQ(again->config(), model->config());
    const auto names = [](const Model& m) {
      std::vector<std::string> out;
      for (const auto& [name, parameter] : saved_parameters(m)) out.push_back(name);
      return out;
    };
    EXPECT_EQ(names(*again), names(*model));
    EXPECT_EQ(again->fixed().size(), stacked ? 10u : 0u);
  }
}

TEST(SemiSupervised, RejectsWhatDoesNotFit) {
  auto config = config_of(false);
  config.hidden = {};
  EXPECT_THROW(SemiSupervised(config, kDouble), ConfigError);
  config = config_of(true);
  config.features->data_dim = 7;
  EXPECT_THROW(SemiSupervised(config, kDouble), ConfigError);
  config = config_of(false);
  config.classes = 1;
  EXPECT_THROW(SemiSupervised(config, kDouble), ConfigError);
  const Vae other({.data_dim = 6, .latent_dim = 3, .hidden = {5}}, kDouble);
  EXPECT_THROW(started(config_of(true))->set_features(other), ConfigError);
  EXPECT_THROW(started(config_of(false))->set_features(other), ConfigError);
  EXPECT_THROW((void)SemiSupervisedConfig::from_json({{"model", "semi-supervised"}}), ConfigError);
}

}  // namespace
}  // namespace elbo
