#include "support/learner.h"

#include <ATen/Context.h>
#include <fmt/format.h>

#include "elbo/error.h"
#include "elbo/estimators/importance_weighted.h"
#include "elbo/estimators/score_function.h"
#include "elbo/inference/aevb.h"
#include "elbo/inference/mcem.h"
#include "elbo/inference/wake_sleep.h"
#include "support/semi_supervised.h"

namespace elbo::cli {
namespace {

template <class L>
Trainee trainee(std::unique_ptr<L> learner) {
  auto* optimizer = &learner->optimizer();
  return {std::move(learner), optimizer};
}

std::shared_ptr<Baseline> make_baseline(const std::string& name, int64_t data_dim) {
  if (name == "moving-average") return std::make_shared<MovingAverage>();
  if (name == "leave-one-out") return std::make_shared<LeaveOneOut>();
  if (name == "linear") return std::make_shared<LinearBaseline>(data_dim);
  return nullptr;
}

AevbOptions aevb_options(const Model& model, const Settings& s, int64_t rows) {
  const int64_t samples = s.integer("mc-samples");
  AevbOptions options{.update = s.word("update") == "joint" ? Update::kJoint : Update::kAlternating,
                      .weight_prior = s.real("weight-prior"),
                      .full_data_objective = s.word("objective-scale") == "full-data",
                      .bfloat16_products = s.word("precision") == "bfloat16",
                      .planned = true};
  // The decoder's weights have a prior of their own, which is learnt.
  if (s.word("weights") == "bayes") options.weight_prior_on = {"phi"};
  if (s.word("learner") == "score-function") {
    const ScoreFunction score{samples, make_baseline(s.word("baseline"), model.data_dim())};
    options.estimator = score;
    options.estimator_state = score.state();
  } else if (s.word("objective") == "iwae") {
    options.estimator = ImportanceWeighted{samples};
  } else {
    options.estimator = Sgvb{.form = s.word("objective") == "sgvb-a" ? SgvbForm::kA : SgvbForm::kB,
                             .num_particles = samples};
  }
  if (s.word("model") == "semi-supervised") options.estimator = partly_labelled(s, rows);
  return options;
}

WakeSleepOptions wake_sleep_options(const Settings& s) {
  const auto& phase = s.word("guide-phase");
  const bool reweighted = s.word("learner") == "rws";
  return {.num_particles = s.integer("mc-samples"),
          .guide_phase = !reweighted || phase == "sleep" ? GuidePhase::kSleep
                         : phase == "wake"               ? GuidePhase::kWake
                                                         : GuidePhase::kBoth,
          .weight_prior = s.real("weight-prior"),
          .full_data_objective = s.word("objective-scale") == "full-data",
          .bfloat16_products = s.word("precision") == "bfloat16",
          .planned = true};
}

McemOptions mcem_options(const Model& model, const Settings& s, int64_t rows) {
  return {
      .leapfrog_steps = s.integer("leapfrog-steps"),
      .target_acceptance = s.real("target-acceptance"),
      .weight_updates = s.integer("weight-updates"),
      .start = s.word("chain-start") == "persistent" ? ChainStart::kPersistent : ChainStart::kPrior,
      .rows = rows,
      .latent_dim = model.latent_dim(),
      .transitions = s.integer("transitions"),
      .burn_in = s.integer("burn-in"),
      .weight_prior = s.real("weight-prior"),
      .full_data_objective = s.word("objective-scale") == "full-data"};
}

Trainee make_mcem(const Model& model, const Settings& s, double lr, int64_t rows) {
  FlatParameters parameters(model.parameters());
  auto optimizer = make_optimizer(s.word("optimizer"), parameters, lr);
  auto learner = std::make_unique<Mcem>(model.model(), std::move(parameters), std::move(optimizer),
                                        mcem_options(model, s, rows));
  const Mcem* mcem = learner.get();
  Trainee out = trainee(std::move(learner));
  out.diagnostics = [mcem] {
    return nlohmann::json{{"acceptance", mcem->chains().acceptance},
                          {"divergences", mcem->chains().divergences},
                          {"step_size", mcem->step_size()}};
  };
  return out;
}

/// Which learner learns which model.
void check_model_of_learner(const Settings& s) {
  const auto& model = s.word("model");
  const auto& learner = s.word("learner");
  const auto expect = [&](bool held, const char* what) {
    if (!held)
      throw ConfigError(
          fmt::format("--learner {}: expected {} for --model {}", learner, what, model));
  };
  const auto kind = s.kind_of_learner();
  if (model == "vae") expect(kind == "gradient", "aevb, wake-sleep, rws, score-function or mcem");
  if (model == "semi-supervised") expect(learner == "aevb", "aevb");
  if (model == "mixture") expect(kind == "em", "em");
  if (model == "fa") expect(kind == "em" || learner == "aevb", "em or aevb");
  if (model == "ppca") expect(kind != "gradient" || learner == "aevb", "em, closed-form or aevb");
  if (kind != "gradient" && s.word("precision") != "float64")
    throw ConfigError(fmt::format("--precision {}: expected float64 with --learner {}",
                                  s.word("precision"), learner));
}

void check_device(const Settings& s) {
  if (s.word("device") == "cpu") return;
  const auto expect = [&](bool held, const char* flag, const char* what) {
    if (!held)
      throw ConfigError(fmt::format("--device {}: expected {}, not --{} {}", s.word("device"), what,
                                    flag, s.word(flag)));
  };
  const auto& learner = s.word("learner");
  expect(s.word("model") == "vae", "model", "a vae");
  expect(learner == "aevb" || learner == "wake-sleep" || learner == "rws", "learner",
         "aevb, wake-sleep or rws");
  expect(s.word("precision") != "bfloat16", "precision", "float32 or float64");
  if (!at::hasCUDA())
    throw ConfigError(fmt::format("--device {}: {}; expected cpu", s.word("device"),
                                  at::globalContext().hasCUDART()
                                      ? "this machine has no GPU"
                                      : "this build's libtorch has no CUDA"));
}

}  // namespace

bool learns_guide(const Settings& s) { return s.word("learner") != "mcem"; }

void check_learner(const Settings& s) {
  const auto& learner = s.word("learner");
  const auto belongs = [&](const char* flag, const char* to, bool to_this) {
    if (!to_this && s.word(flag) != find_setting(flag).default_value)
      throw ConfigError(fmt::format("--{} {}: with --learner {} it has no effect; expected {}",
                                    flag, s.word(flag), learner, to));
  };
  check_model_of_learner(s);
  check_device(s);
  if (s.kind_of_learner() != "gradient") return;
  if (s.word("model") == "semi-supervised" && s.word("objective") == "iwae")
    throw ConfigError(
        "--objective iwae: --model semi-supervised sums y out of the bound; expected sgvb-a or "
        "sgvb-b");
  const bool mcem = learner == "mcem";
  belongs("objective", "--learner aevb", learner == "aevb");
  belongs("update", "--learner aevb or score-function",
          learner == "aevb" || learner == "score-function");
  belongs("baseline", "--learner score-function", learner == "score-function");
  belongs("guide-phase", "--learner rws", learner == "rws");
  for (const char* flag : {"chain-start", "transitions", "burn-in", "leapfrog-steps",
                           "target-acceptance", "weight-updates"})
    belongs(flag, "--learner mcem", mcem);
  if (!(s.real("target-acceptance") < 1))
    throw ConfigError(fmt::format("--target-acceptance {}; expected {}",
                                  s.word("target-acceptance"),
                                  find_setting("target-acceptance").range));
  if (mcem && s.word("precision") == "bfloat16")
    throw ConfigError(
        "--precision bfloat16: --learner mcem draws in the model's own type; expected float32 or "
        "float64");
  if (mcem && s.integer("mc-samples") != 1)
    throw ConfigError(fmt::format(
        "--mc-samples {}: --learner mcem has one chain a row; expected 1, or more --transitions",
        s.integer("mc-samples")));
  if (learner == "wake-sleep" && s.integer("mc-samples") != 1)
    throw ConfigError(
        fmt::format("--mc-samples {}: wake-sleep has 1; expected --learner rws, which weights them",
                    s.integer("mc-samples")));
  if (s.word("weights") == "bayes" && (learner != "aevb" || s.word("objective") == "iwae"))
    throw ConfigError(
        "--weights bayes: its q(W) is shared by all rows; expected --learner aevb and "
        "--objective sgvb-a or sgvb-b");
  const bool leaves_out = learner == "score-function" && s.word("baseline") == "leave-one-out";
  if ((leaves_out || learner == "rws") && s.integer("mc-samples") < 2)
    throw ConfigError(
        fmt::format("--mc-samples {}: --learner {} compares draws with one another; expected >= 2",
                    s.integer("mc-samples"), learner));
}

Trainee make_learner(const Model& model, const Settings& s, double lr, int64_t rows) {
  if (s.word("learner") == "mcem") return make_mcem(model, s, lr, rows);
  FlatParameters parameters(model.parameters());
  auto optimizer = make_optimizer(s.word("optimizer"), parameters, lr);
  if (s.word("learner") == "wake-sleep" || s.word("learner") == "rws")
    return trainee(std::make_unique<WakeSleep>(model.model(), model.guide(), std::move(parameters),
                                               std::move(optimizer), wake_sleep_options(s)));
  return trainee(std::make_unique<Aevb>(model.model(), model.guide(), std::move(parameters),
                                        std::move(optimizer), aevb_options(model, s, rows)));
}

}  // namespace elbo::cli
