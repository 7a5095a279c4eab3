// Data and runs, opened and checked against each other.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "elbo/data/batch_source.h"
#include "elbo/data/data_set.h"
#include "elbo/io/run_directory.h"
#include "elbo/models/model.h"
#include "support/model_config.h"
#include "support/settings.h"

namespace elbo::cli {

/// Throws DataError, naming the set and the first offence, when the rows are not what the model
/// takes: values outside [0, 1] for a Bernoulli, missing entries, another width.
void check_data(const data::DataSet& set, const Model& model);

[[nodiscard]] at::TensorOptions tensor_options(const Settings& settings);

/// A finished or stopped training.
struct LoadedRun {
  io::RunDirectory directory;
  nlohmann::json description;  ///< model.json
  Settings settings;
  std::unique_ptr<Model> model;
  std::vector<int64_t> event_shape;

  [[nodiscard]] at::TensorOptions options() const { return tensor_options(settings); }
  /// Images' height and width; ConfigError for a `command` that needs pictures otherwise.
  [[nodiscard]] std::vector<int64_t> image_shape(const char* command) const;
  /// [n, D] to [n, h, w].
  [[nodiscard]] at::Tensor as_images(const at::Tensor& x, const char* command) const;
};

/// Throws DataError, naming the set and the column, where a mixture's component families have no
/// density at a row.
void check_support(const LoadedRun& run, const data::DataSet& set, const data::BatchSource& source);

/// The description alone, with the model built but its weights not read.
[[nodiscard]] LoadedRun open_description(const std::string& path);
/// With the weights. Throws NoInputError, DataError.
[[nodiscard]] LoadedRun open_run(const std::string& path);

/// The run and the rows of data that a command works on.
struct RowsArguments {
  std::string run, data;
  std::string part = "auto";  ///< train, test or all; auto: test of a known set, all of a file
  int64_t limit = 0;          ///< the first so many; 0: all
  uint64_t seed = 0;          ///< of what is drawn on the way
};

struct Rows {
  data::DataSet set;
  data::Part part;
  [[nodiscard]] data::BatchSource source(const LoadedRun& run) const;
};

/// Loads the rows and checks that they fit the run's model.
[[nodiscard]] Rows load_rows(const LoadedRun& run, const RowsArguments& which);
/// RUN DATA --part --limit --seed; `draws` says what the seed is of.
void add_rows_arguments(CLI::App& command, RowsArguments& which, const std::string& draws);

/// Saves a model's parameters in the run directory.
void save_weights(const io::RunDirectory& directory, const Model& model);

}  // namespace elbo::cli
