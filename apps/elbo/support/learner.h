// The learner that a training's settings ask for.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "elbo/inference/learner.h"
#include "elbo/models/model.h"
#include "elbo/optim/optimizer.h"
#include "support/settings.h"

namespace elbo::cli {

/// A learner and, its own, the optimiser whose rate the schedule moves.
struct Trainee {
  std::unique_ptr<Learner> learner;
  Optimizer* optimizer = nullptr;
  /// Fields for an epoch's line of metrics, of how the learner itself fares; or none.
  std::function<nlohmann::json()> diagnostics = {};
};

/// --learner with what belongs to it, for epochs of so many rows; takes the model's parameters
/// over.
[[nodiscard]] Trainee make_learner(const Model& model, const Settings& settings, double lr,
                                   int64_t rows);

/// Whether it moves q(z | x) too, so that the bound at the guide says how well it has learnt.
[[nodiscard]] bool learns_guide(const Settings& settings);

/// Throws ConfigError where a setting of another learner than the one chosen would be without
/// effect, or a number of draws does not fit it.
void check_learner(const Settings& settings);

}  // namespace elbo::cli
