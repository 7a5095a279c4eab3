// What the settings of a training ask for besides its learner: its rate, its loop, its description.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "elbo/data/batch_source.h"
#include "elbo/data/data_set.h"
#include "elbo/io/run_directory.h"
#include "elbo/models/model.h"
#include "elbo/training/trainer.h"
#include "support/settings.h"

namespace elbo::cli {

struct ChoiceHooks {
  std::function<void(int64_t done, int64_t total)> on_update;  ///< of all rates together
  std::function<bool()> should_stop;
};

/// AEVB 5: the best of 0.01, 0.02 and 0.1 by the bound of each one's first updates, from the same
/// start on the same rows and noise; nothing where it was stopped. Leaves the model's weights
/// anywhere.
[[nodiscard]] std::optional<double> chosen_rate(const Model& model, const Settings& settings,
                                                const data::BatchSource& source,
                                                const ChoiceHooks& hooks);

[[nodiscard]] TrainerOptions trainer_options(const Settings& settings);

/// model.json of a new run.
[[nodiscard]] nlohmann::json describe(const Settings& settings, const data::DataSet& set,
                                      const std::string& spec);

/// A run that fails before its first checkpoint leaves nothing behind.
struct DiscardUnlessKept {
  const io::RunDirectory& directory;
  bool kept = false;
  ~DiscardUnlessKept() {
    if (!kept) directory.discard();
  }
};

}  // namespace elbo::cli
