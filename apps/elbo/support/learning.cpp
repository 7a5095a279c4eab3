#include "support/learning.h"

#include <nlohmann/json.hpp>

#include "support/learner.h"
#include "support/loaded_run.h"

namespace elbo::cli {
std::optional<double> chosen_rate(const Model& model, const Settings& s,
                                  const data::BatchSource& source, const ChoiceHooks& hooks) {
  constexpr int64_t kUpdates = 200;
  const std::vector<double> rates = {0.01, 0.02, 0.1};
  const auto seed = static_cast<uint64_t>(s.integer("seed"));
  int64_t tried = 0;
  return choose_learning_rate(rates, [&](double rate) {
    const int64_t before = kUpdates * tried++;
    initialise_model(model, nn::parse_init(s.word("init")), seed);
    const auto trainee = make_learner(model, s, rate, source.rows());
    return mean_bound_of_first_updates(
        *trainee.learner, source, seed, s.integer("batch"), kUpdates, [&](int64_t done) {
          hooks.on_update(before + done, kUpdates * static_cast<int64_t>(rates.size()));
          return !hooks.should_stop();
        });
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
