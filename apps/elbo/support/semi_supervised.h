// What training of a semi-supervised model needs beside the usual: labels of which few are known,
// and M1 under a stacked model.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "elbo/data/batch_source.h"
#include "elbo/estimators/bound.h"
#include "elbo/models/semi_supervised.h"
#include "support/loaded_run.h"

namespace elbo::cli {

/// Leaves the first --train-rows training rows. **Throws** ConfigError where there are fewer.
void keep_train_rows(data::DataSet& set, const Settings& settings);

/// `source` with the labels that --labels leaves, where the model is semi-supervised; else as it
/// is.
/// **Throws** ConfigError, DataError.
[[nodiscard]] data::BatchSource labelled_source(data::BatchSource source, const data::DataSet& set,
                                                const Settings& settings);

/// SGVB over rows with and without labels, of epochs over so many rows without.
[[nodiscard]] Estimator partly_labelled(const Settings& settings, int64_t rows);

/// The run that --stack names, with its weights. **Throws** ConfigError where it is no VAE.
[[nodiscard]] LoadedRun open_features(const Settings& settings);

/// Puts M1's weights into a stacked model: from --stack, or with `resume` from the run's own file.
/// Other models stay as they are.
void load_features(const LoadedRun& run, bool resume);

/// {"test_error": ...} of a semi-supervised model and test rows with labels; else {}.
[[nodiscard]] nlohmann::json test_error(const Model& model, const data::DataSet& set,
                                        const data::BatchSource& test);

/// The run's model; ConfigError, naming the command, where it is another kind.
[[nodiscard]] const SemiSupervised& semi_supervised(const LoadedRun& run, const char* command);

}  // namespace elbo::cli
