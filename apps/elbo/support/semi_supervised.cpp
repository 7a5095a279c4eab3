#include "support/semi_supervised.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <filesystem>

#include "elbo/data/labels.h"
#include "elbo/estimators/partly_observed.h"
#include "elbo/estimators/sgvb.h"
#include "elbo/evaluation/classification.h"
#include "elbo/io/safetensors.h"

namespace elbo::cli {

void keep_train_rows(data::DataSet& set, const Settings& s) {
  const int64_t rows = s.integer("train-rows");
  if (rows > set.train.rows())
    throw ConfigError(fmt::format("--train-rows {}: {} has {}; expected no more", rows, set.name,
                                  set.train.rows()));
  if (s.word("model") == "semi-supervised" && !set.train.labels.defined())
    throw DataError(
        fmt::format("{}: it has no labels; expected some for --model semi-supervised", set.name));
  if (rows == 0) return;
  const auto head = [&](const at::Tensor& t) { return t.defined() ? t.narrow(0, 0, rows) : t; };
  set.train = {head(set.train.x), head(set.train.labels), head(set.train.mask)};
}

data::BatchSource labelled_source(data::BatchSource source, const data::DataSet& set,
                                  const Settings& s) {
  if (s.word("model") != "semi-supervised") return source;
  const auto labels = data::balanced_labels(set.train.labels, s.integer("labels"),
                                            static_cast<uint64_t>(s.integer("seed")));
  return source.with_labels(labels, s.integer("labelled-batch"));
}

Estimator partly_labelled(const Settings& s, int64_t rows) {
  // A row with a label stands for itself among N: what is to be a mean over the n of them, per
  // datum, has the weight N/n.
  const auto labels = static_cast<double>(s.integer("labels"));
  const double total = static_cast<double>(rows) + labels;
  return PartlyObserved{Sgvb{.form = s.word("objective") == "sgvb-a" ? SgvbForm::kA : SgvbForm::kB,
                             .num_particles = s.integer("mc-samples"),
                             .supervision = s.real("alpha") * total / labels}};
}

LoadedRun open_features(const Settings& s) {
  auto run = open_run(s.word("stack"));
  if (dynamic_cast<const Vae*>(run.model.get()) == nullptr)
    throw ConfigError(fmt::format("--stack {}: it holds a {}; expected a vae", s.word("stack"),
                                  run.settings.word("model")));
  return run;
}

void load_features(const LoadedRun& run, bool resume) {
  auto* model = dynamic_cast<SemiSupervised*>(run.model.get());
  if (model == nullptr || model->fixed().empty()) return;
  if (!resume) {
    model->set_features(dynamic_cast<const Vae&>(*open_features(run.settings).model));
    return;
  }
  const auto file = io::load(run.directory.weights());
  const at::NoGradGuard no_grad;
  for (auto [name, parameter] : model->fixed()) parameter.copy_(file.at(name));
}

nlohmann::json test_error(const Model& model, const data::DataSet& set,
                          const data::BatchSource& test) {
  const auto* classifier = dynamic_cast<const SemiSupervised*>(&model);
  if (classifier == nullptr || !set.test.labels.defined()) return nlohmann::json::object();
  return {{"test_error", error_rate(class_probabilities(*classifier, test), set.test.labels).rate}};
}

const SemiSupervised& semi_supervised(const LoadedRun& run, const char* command) {
  const auto* model = dynamic_cast<const SemiSupervised*>(run.model.get());
  if (model == nullptr)
    throw ConfigError(fmt::format("{}: {} holds a {}; expected a semi-supervised model", command,
                                  run.directory.path().string(),
                                  run.description["model"]["model"].get<std::string>()));
  return *model;
}

}  // namespace elbo::cli
