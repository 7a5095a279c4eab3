#include "support/learning.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "elbo/error.h"
#include "elbo/estimators/importance_weighted.h"
#include "elbo/inference/aevb.h"
#include "elbo/inference/wake_sleep.h"
#include "support/loaded_run.h"

namespace elbo::cli {
namespace {

Estimator make_estimator(const std::string& objective, int64_t samples) {
  if (objective == "iwae") return ImportanceWeighted{samples};
  return Sgvb{.form = objective == "sgvb-a" ? SgvbForm::kA : SgvbForm::kB,
              .num_particles = samples};
}

template <class L, class Options>
Learning make(const Model& model, const Settings& s, double lr, const Options& options) {
  FlatParameters parameters(model.parameters());
  auto optimizer = make_optimizer(s.word("optimizer"), parameters, lr);
  auto learner = std::make_unique<L>(model.model(), model.guide(), std::move(parameters),
                                     std::move(optimizer), options);
  auto* moved_by = &learner->optimizer();
  return {std::move(learner), moved_by};
}

}  // namespace

Learning make_learner(const Model& model, const Settings& s, double lr) {
  const double weight_prior = s.real("weight-prior");
  const bool full_data = s.word("objective-scale") == "full-data";
  const bool bfloat16 = s.word("precision") == "bfloat16";
  if (s.word("learner") == "wake-sleep") {
    for (const auto& [name, only] :
         {std::pair{"objective", "sgvb-b"}, std::pair{"update", "joint"}})
      if (s.word(name) != only)
        throw ConfigError(
            fmt::format("--{} {}: --learner wake-sleep has objectives of its own; "
                        "leave it out",
                        name, s.word(name)));
    return make<WakeSleep>(model, s, lr,
                           WakeSleepOptions{.num_particles = s.integer("mc-samples"),
                                            .weight_prior = weight_prior,
                                            .full_data_objective = full_data,
                                            .bfloat16_products = bfloat16});
  }
  return make<Aevb>(
      model, s, lr,
      AevbOptions{.estimator = make_estimator(s.word("objective"), s.integer("mc-samples")),
                  .update = s.word("update") == "joint" ? Update::kJoint : Update::kAlternating,
                  .weight_prior = weight_prior,
                  .full_data_objective = full_data,
                  .bfloat16_products = bfloat16});
}

double chosen_rate(const Model& model, const Settings& s, const data::BatchSource& source) {
  constexpr int64_t kUpdates = 200;
  const auto seed = static_cast<uint64_t>(s.integer("seed"));
  return choose_learning_rate({0.01, 0.02, 0.1}, [&](double rate) {
    initialise_model(model, nn::parse_init(s.word("init")), seed);
    const auto learning = make_learner(model, s, rate);
    return mean_bound_of_first_updates(*learning.learner, source, seed, s.integer("batch"),
                                       kUpdates);
  });
}

TrainerOptions trainer_options(const Settings& s) {
  return {.epochs = s.integer("epochs"),
          .batch_size = s.integer("batch"),
          .samples = s.integer("samples"),
          .seed = static_cast<uint64_t>(s.integer("seed")),
          .schedule = s.word("lr-schedule") == "cosine" ? Schedule::kCosine : Schedule::kConstant};
}

nlohmann::json describe(const Settings& s, const data::DataSet& set, const std::string& spec) {
  return {{"elbo", ELBO_VERSION},
          {"model", model_config(s, set)},
          {"data",
           {{"name", spec},
            {"event_shape", set.event_shape},
            {"scale", set.scale},
            {"train_rows", set.train.rows()},
            {"test_rows", set.test.rows()}}},
          {"settings", s.to_json()}};
}

}  // namespace elbo::cli
