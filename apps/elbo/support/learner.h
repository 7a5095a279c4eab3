// The learner that a training's settings ask for.
#pragma once

#include <memory>

#include "elbo/inference/learner.h"
#include "elbo/models/model.h"
#include "elbo/optim/optimizer.h"
#include "support/settings.h"

namespace elbo::cli {

/// A learner and, its own, the optimiser whose rate the schedule moves.
struct Trainee {
  std::unique_ptr<Learner> learner;
  Optimizer* optimizer = nullptr;
};

/// --learner with what belongs to it; takes the model's parameters over.
[[nodiscard]] Trainee make_learner(const Model& model, const Settings& settings, double lr);

/// Throws ConfigError where a setting of another learner than the one chosen would be without
/// effect, or a number of draws does not fit it.
void check_learner(const Settings& settings);

}  // namespace elbo::cli
