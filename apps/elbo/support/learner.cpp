#include "support/learner.h"

#include <fmt/format.h>

#include "elbo/error.h"
#include "elbo/estimators/importance_weighted.h"
#include "elbo/estimators/score_function.h"
#include "elbo/inference/aevb.h"
#include "elbo/inference/wake_sleep.h"

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

AevbOptions aevb_options(const Model& model, const Settings& s) {
  const int64_t samples = s.integer("mc-samples");
  AevbOptions options{.update = s.word("update") == "joint" ? Update::kJoint : Update::kAlternating,
                      .weight_prior = s.real("weight-prior"),
                      .full_data_objective = s.word("objective-scale") == "full-data",
                      .bfloat16_products = s.word("precision") == "bfloat16"};
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
          .bfloat16_products = s.word("precision") == "bfloat16"};
}

}  // namespace

void check_learner(const Settings& s) {
  const auto& learner = s.word("learner");
  const auto belongs = [&](const char* flag, const char* default_value, const char* to,
                           bool to_this) {
    if (!to_this && s.word(flag) != default_value)
      throw ConfigError(fmt::format("--{} {}: with --learner {} it has no effect; expected {}",
                                    flag, s.word(flag), learner, to));
  };
  const bool wakes = learner == "wake-sleep" || learner == "rws";
  belongs("objective", "sgvb-b", "--learner aevb", learner == "aevb");
  belongs("update", "joint", "--learner aevb or score-function", !wakes);
  belongs("baseline", "moving-average", "--learner score-function", learner == "score-function");
  belongs("guide-phase", "both", "--learner rws", learner == "rws");
  if (learner == "wake-sleep" && s.integer("mc-samples") != 1)
    throw ConfigError(
        fmt::format("--mc-samples {}: wake-sleep has 1; expected --learner rws, which weights them",
                    s.integer("mc-samples")));
  if (s.word("weights") == "bayes") {
    if (learner != "aevb" || s.word("objective") == "iwae")
      throw ConfigError(
          "--weights bayes: its q(W) is shared by all rows; expected --learner aevb and "
          "--objective sgvb-a or sgvb-b");
    if (s.real("weight-prior") != 0)
      throw ConfigError(
          fmt::format("--weight-prior {}: with --weights bayes the weights have a "
                      "prior that is learnt; expected 0",
                      s.word("weight-prior")));
  }
  const bool leaves_out = learner == "score-function" && s.word("baseline") == "leave-one-out";
  if ((leaves_out || learner == "rws") && s.integer("mc-samples") < 2)
    throw ConfigError(
        fmt::format("--mc-samples {}: --learner {} compares draws with one another; expected >= 2",
                    s.integer("mc-samples"), learner));
}

Trainee make_learner(const Model& model, const Settings& s, double lr) {
  FlatParameters parameters(model.parameters());
  auto optimizer = make_optimizer(s.word("optimizer"), parameters, lr);
  if (s.word("learner") == "wake-sleep" || s.word("learner") == "rws")
    return trainee(std::make_unique<WakeSleep>(model.model(), model.guide(), std::move(parameters),
                                               std::move(optimizer), wake_sleep_options(s)));
  return trainee(std::make_unique<Aevb>(model.model(), model.guide(), std::move(parameters),
                                        std::move(optimizer), aevb_options(model, s)));
}

}  // namespace elbo::cli
