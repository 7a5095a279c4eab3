#include "elbo/models/vae.h"

#include <nlohmann/json.hpp>

#include "elbo/data/batch_source.h"
#include "elbo/distributions/kl.h"
#include "elbo/estimators/importance_weighted.h"
#include "elbo/estimators/sgvb.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/inference/aevb.h"
#include "elbo/inference/wake_sleep.h"
#include "support/other_device.h"

namespace elbo {
namespace {

using testing::GraphsOnOtherDevice, testing::other_device;

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

Batch grey_batch(int64_t rows, int64_t dim) {
  return {.columns = {{"x", Noise(9).uniform({rows, dim}, kDouble)}},
          .rows = at::arange(rows, at::kLong),
          .total = 10 * rows};
}

class EveryVae : public ::testing::TestWithParam<std::tuple<Likelihood, Encoder>> {};

TEST_P(EveryVae, BoundIsReconstructionLessKlAndLearns) {
  const auto [likelihood, encoder] = GetParam();
  const Vae vae({.data_dim = 6,
                 .latent_dim = 2,
                 .hidden = {8},
                 .likelihood = likelihood,
                 .encoder = encoder,
                 .sigma_min = 0.05},
                kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  const auto batch = grey_batch(20, 6);
  const Noise noise(2);
  const Bound bound = Sgvb{.num_particles = 3}(vae.model(), vae.guide(), batch, noise);
  ASSERT_EQ(bound.rows().sizes(), at::IntArrayRef({3, 20}));

  // The terms again, from encoder and decoder alone.
  const auto q = vae.encode(batch["x"]);
  const auto z = q.rsample(noise.site("z").particles(3).rows(batch.rows), {3});
  const auto reconstruction = vae.decode(z).log_prob(batch["x"]);
  const auto kl = kl_divergence(q, Normal::standard({2}, kDouble).to_event(1));
  EXPECT_TRUE(at::allclose(bound.reconstruction, reconstruction, 1e-13, 1e-13));
  EXPECT_TRUE(at::allclose(bound.kl[0], kl, 1e-13, 1e-13));
  EXPECT_TRUE(at::allclose(bound.rows(), reconstruction - kl, 1e-13, 1e-13));

  FlatParameters parameters(vae.parameters());
  Aevb learner(vae.model(), vae.guide(), parameters, make_optimizer("adam", parameters, 0.01));
  const double first = learner.step(batch, noise).elbo;
  double last = first;
  for (uint64_t step = 1; step < 200; ++step) last = learner.step(batch, noise.step(step)).elbo;
  EXPECT_GT(last, first + 0.01);
}

INSTANTIATE_TEST_SUITE_P(
    AllHeads, EveryVae,
    ::testing::Combine(::testing::Values(Likelihood::kBernoulli, Likelihood::kGaussian,
                                         Likelihood::kGaussianSigmoid, Likelihood::kGaussianUnit),
                       ::testing::Values(Encoder::kGaussian, Encoder::kGaussianTanh,
                                         Encoder::kGaussianUnit)));

TEST(Vae, DecoderMirrorsTheEncoderAtAnyDepth) {
  const Vae vae({.data_dim = 6, .latent_dim = 2, .hidden = {8, 5, 3}}, kDouble);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, w] : named_parameters(vae)) shapes[name] = w.sizes().vec();
  EXPECT_EQ(shapes["encoder.hidden.2.weight"], (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(shapes["decoder.hidden.0.weight"], (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(shapes["decoder.head.logits.weight"], (std::vector<int64_t>{6, 8}));
}

TEST(Vae, SegmentsAreThetaAndPhi) {
  const Vae vae({.data_dim = 6}, kDouble);
  const auto parameters = vae.parameters();
  ASSERT_EQ(parameters.size(), 2u);
  EXPECT_EQ(parameters[0].first, "theta");
  EXPECT_TRUE(parameters[0].second.front().first.starts_with("decoder."));
  EXPECT_EQ(parameters[1].first, "phi");
}

VaeConfig bayes_config() {
  return {.data_dim = 6, .latent_dim = 2, .hidden = {8}, .weights = Weights::kBayes};
}

TEST(BayesianVae, CountsTheWeightsDivergenceOnceForAllRows) {
  const Vae vae(bayes_config(), kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  const auto batch = grey_batch(20, 6);
  const Bound bound = Sgvb{.num_particles = 3}(vae.model(), vae.guide(), batch, Noise(2));
  EXPECT_EQ(bound.rows().sizes(), at::IntArrayRef({3, 20}));
  // KL(q(W) || p(W)) again, from the parameters: p has variance 1 / columns, or 1 for biases.
  double kl = 0;
  for (const auto& [name, loc] : named_parameters(vae)) {
    if (!name.starts_with("decoder.") || !name.ends_with(".loc")) continue;
    const double p = loc.dim() == 2 ? 1.0 / static_cast<double>(loc.size(1)) : 1, q = 0.1 * 0.1;
    kl += 0.5 * ((loc.square() + q) / p - 1 - std::log(q / p)).sum().item<double>();
  }
  EXPECT_TRUE(bound.global.allclose(at::full({3, 1}, -kl, kDouble), 1e-12, 0));
  EXPECT_NEAR(bound.full_data().item<double>(), 200 * bound.rows().mean().item<double>() - kl,
              1e-8);
}

TEST(BayesianVae, BoundsOfMinibatchesAverageToTheFullDatas) {  // FVB eq 3
  const Vae vae(bayes_config(), kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  auto full = grey_batch(6, 6);
  full.total = 6;
  const auto bound_of = [&](const at::Tensor& rows) {
    const Batch some{.columns = {{"x", full["x"].index_select(0, rows)}}, .rows = rows, .total = 6};
    return Sgvb{}(vae.model(), vae.guide(), some, Noise(2)).full_data().item<double>();
  };
  double sum = 0;
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = i + 1; j < 6; ++j) sum += bound_of(at::tensor({i, j}, at::kLong));
  EXPECT_NEAR(sum / 15, bound_of(at::arange(6)), 1e-10);
}

TEST(BayesianVae, LearnsItsWeightsPriorAndPosterior) {
  const Vae vae(bayes_config(), kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  const auto segments = vae.parameters();
  EXPECT_EQ(segments[0].first, "theta");
  ASSERT_EQ(segments[0].second.size(), 2u);
  EXPECT_EQ(segments[0].second[0].first, "decoder.prior_log_scale");
  EXPECT_EQ(segments[0].second[1].first, "decoder.basis");
  EXPECT_EQ(segments[1].first, "phi");
  for (const auto& [name, parameter] : segments[1].second) EXPECT_EQ(name.rfind("encoder.", 0), 0u);
  EXPECT_EQ(segments[2].first, "xi");
  std::map<std::string, at::Tensor> start;
  for (const auto& [name, parameter] : named_parameters(vae)) start[name] = parameter.clone();
  const auto batch = grey_batch(20, 6);
  for (const auto update : {Update::kJoint, Update::kAlternating}) {
    FlatParameters parameters(vae.parameters());
    Aevb learner(vae.model(), vae.guide(), parameters, make_optimizer("adam", parameters, 0.01),
                 {.update = update});
    const double first = learner.step(batch, Noise(2)).elbo;
    double last = first;
    for (uint64_t step = 1; step < 200; ++step) last = learner.step(batch, Noise(2, step)).elbo;
    EXPECT_GT(last, first + 0.01);
  }
  for (const auto& [name, parameter] : named_parameters(vae))
    EXPECT_TRUE(parameter.ne(start[name]).all().item<bool>()) << name;
}

TEST(BayesianVae, AtMeanWeightsIsAnOrdinaryOneThatDecodesAlike) {
  for (const auto likelihood : {Likelihood::kBernoulli, Likelihood::kGaussian}) {
    auto config = bayes_config();
    config.likelihood = likelihood;
    const Vae vae(config, kDouble);
    initialise_model(vae, nn::Init::kXavier, 1);
    const auto fixed = vae.at_mean_weights();
    const auto batch = grey_batch(5, 6);
    const auto z = Noise(4).normal({7, 2}, kDouble);
    EXPECT_TRUE(fixed->decode(z).mean().allclose(vae.decode(z).mean(), 1e-13, 1e-13));
    EXPECT_TRUE(fixed->encode(batch["x"]).mean().equal(vae.encode(batch["x"]).mean()));
    const auto bound = Sgvb{}(fixed->model(), fixed->guide(), batch, Noise(2));
    EXPECT_FALSE(bound.global.defined());
    const auto first = fixed->parameters()[0].second.front().second;
    EXPECT_FALSE(first.is_alias_of(vae.parameters()[2].second.back().second));
    EXPECT_EQ(fixed->at_mean_weights()->config(), fixed->config());
  }
}

TEST(BayesianVae, WithIntegratedWeightsTakesRowsOneByOneAndLiesAboveDrawnOnes) {
  const Vae vae(bayes_config(), kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  for (const auto& [name, parameter] : named_parameters(vae))
    if (name == "decoder.log_var") {
      const at::NoGradGuard no_grad;
      parameter.fill_(2);  // standard deviations of 0.27
    }
  const auto integrated = vae.with_integrated_weights();
  const auto batch = grey_batch(20, 6);
  const Sgvb estimator{.num_particles = 200};
  const auto of_rows = estimator(integrated->model(), integrated->guide(), batch, Noise(2));
  EXPECT_FALSE(of_rows.global.defined());
  const auto drawn = estimator(vae.model(), vae.guide(), batch, Noise(2));
  EXPECT_GT(of_rows.rows().mean().item<double>(), drawn.rows().mean().item<double>() + 0.01);
  EXPECT_TRUE(
      integrated->parameters()[0].second[0].second.is_same(vae.parameters()[0].second[0].second));
  EXPECT_THROW((void)Vae({.data_dim = 3}, kDouble).with_integrated_weights(), ConfigError);
}

TEST(BayesianVae, IsBuiltAgainFromItsConfigurationAndFromAnOlderOne) {
  const Vae vae(bayes_config(), kDouble);
  auto config = vae.config();
  EXPECT_EQ(VaeConfig::from_json(config).weights, Weights::kBayes);
  config.erase("weights");
  EXPECT_EQ(VaeConfig::from_json(config).weights, Weights::kPoint);
}

TEST(Vae, RefusesImpossibleSizes) {
  EXPECT_THROW(Vae({.data_dim = 0}, kDouble), ConfigError);
  EXPECT_THROW(Vae({.data_dim = 3, .latent_dim = 0}, kDouble), ConfigError);
}

/// Learning on a device that is not the CPU gives what learning on the CPU gives.
constexpr int64_t kRows = 30, kDim = 6, kSteps = 6;

struct Learnt {
  std::vector<double> bounds;  // of each step, and of all rows at the end
  at::Tensor weights;          // on the CPU
};

/// From the same start with the same noise, some steps on rows of bytes that are binarised anew.
template <class MakeLearner>
Learnt learnt(const VaeConfig& config, at::Device device, const MakeLearner& make_learner) {
  const auto options = at::TensorOptions().dtype(at::kDouble).device(device);
  const Vae vae(config, options);
  initialise_model(vae, nn::Init::kXavier, 1);
  data::Part part;
  part.x = (Noise(9).uniform({kRows, kDim}, at::kDouble) * 256).to(at::kByte);
  const auto binarize =
      config.likelihood == Likelihood::kBernoulli ? data::Binarize::kSample : data::Binarize::kNone;
  const data::BatchSource source(part, 1.0 / 255, binarize, options);
  FlatParameters parameters(vae.parameters());
  const auto learner = make_learner(vae, parameters);
  Learnt out;
  Batch batch;
  for (int64_t step = 0; step < kSteps; ++step) {
    const Noise noise(3, static_cast<uint64_t>(step));
    batch = source.gather((at::arange(8, at::kLong) + 5 * step).remainder(kRows), noise, batch);
    EXPECT_EQ(batch["x"].device(), device);
    out.bounds.push_back(learner->step(batch, noise).elbo);
  }
  if (config.weights == Weights::kPoint)
    out.bounds.push_back(evaluate_elbo(vae, source, EvaluateOptions{}).mean);
  out.weights = parameters.values().to(at::kCPU);
  return out;
}

void expect_equal(const Learnt& a, const Learnt& b) {
  ASSERT_EQ(a.bounds.size(), b.bounds.size());
  for (size_t i = 0; i < a.bounds.size(); ++i) EXPECT_NEAR(a.bounds[i], b.bounds[i], 1e-9) << i;
  EXPECT_LT((a.weights - b.weights).abs().max().item<double>(), 1e-9);
}

/// As the code runs, and as graphs: the second step is captured, and launched from then on.
template <class MakeLearner>
void expect_the_same(const VaeConfig& config, const MakeLearner& make_learner,
                     int64_t graphs_of_gradients = 1) {
  const Learnt here = learnt(config, at::kCPU, make_learner);
  expect_equal(here, learnt(config, other_device(), make_learner));
  const GraphsOnOtherDevice graphs;
  expect_equal(here, learnt(config, other_device(), make_learner));
  EXPECT_GT(graphs.captured(), graphs_of_gradients);  // and of the optimiser
  EXPECT_EQ(graphs.launched(), (kSteps - 1) * graphs.captured());
}

VaeConfig config_of(Likelihood likelihood) {
  return {.data_dim = kDim,
          .latent_dim = 2,
          .hidden = {8, 5},
          .likelihood = likelihood,
          .sigma_min = 0.05};
}

/// Makes Aevb with an optimiser.
auto aevb(const char* optimizer, const AevbOptions& options) {
  return [=](const Vae& vae, FlatParameters& parameters) {
    return std::make_unique<Aevb>(vae.model(), vae.guide(), parameters,
                                  make_optimizer(optimizer, parameters, 0.01), options);
  };
}

TEST(VaeOnAnotherDevice, AevbWithEveryHeadLearnsTheSame) {
  for (const auto likelihood : {Likelihood::kBernoulli, Likelihood::kGaussian,
                                Likelihood::kGaussianSigmoid, Likelihood::kGaussianUnit})
    expect_the_same(config_of(likelihood), aevb("adam", {.planned = true}));
}

TEST(VaeOnAnotherDevice, EveryOptimizerAndUpdateLearnsTheSame) {
  for (const char* optimizer : {"sgd", "adagrad", "adam"})
    for (const Update update : {Update::kJoint, Update::kAlternating})
      expect_the_same(config_of(Likelihood::kBernoulli),
                      aevb(optimizer, {.update = update, .weight_prior = 1, .planned = true}),
                      update == Update::kJoint ? 1 : 2);
}

TEST(VaeOnAnotherDevice, ImportanceWeightsLearnTheSame) {
  expect_the_same(config_of(Likelihood::kBernoulli),
                  aevb("adam", {.estimator = ImportanceWeighted{4}, .planned = true}));
}

TEST(VaeOnAnotherDevice, BayesianDecoderLearnsTheSame) {
  auto config = config_of(Likelihood::kBernoulli);
  config.weights = Weights::kBayes;
  expect_the_same(config, aevb("adam", {.planned = true}));
}

TEST(VaeOnAnotherDevice, WakeSleepLearnsTheSame) {
  for (const GuidePhase phase : {GuidePhase::kSleep, GuidePhase::kWake})
    expect_the_same(
        config_of(Likelihood::kBernoulli), [&](const Vae& vae, FlatParameters& parameters) {
          return std::make_unique<WakeSleep>(
              vae.model(), vae.guide(), parameters, make_optimizer("adam", parameters, 0.01),
              WakeSleepOptions{.num_particles = 3, .guide_phase = phase, .planned = true});
        });
}

}  // namespace
}  // namespace elbo
