// Training without gradients: mixtures, probabilistic PCA, factor analysis.
#pragma once

#include "elbo/data/batch_source.h"
#include "support/loaded_run.h"

namespace elbo::cli {

/// Fits the run's model to `source` by EM, or in closed form, and leaves weights, metrics (a line
/// an iteration of the start that was kept) and report; prints as `elbo train` does. SIGINT ends it
/// at the next iteration's end with the best so far.
/// **Throws** DataError where a row is outside a mixture's families; NumericError.
void train_by_em(const LoadedRun& run, const data::DataSet& set, const data::BatchSource& source,
                 bool json);

}  // namespace elbo::cli
