// The bound of a data set, with its standard error.
#pragma once

#include "elbo/data/batch_source.h"
#include "elbo/estimators/sgvb.h"
#include "elbo/models/model.h"

namespace elbo {

/// A mean over rows, in nats per datum, accumulated in float64.
struct Evaluation {
  double mean = 0;
  double standard_error = 0;  ///< over rows: how far another test set of this size may lie
  double reconstruction = 0;
  double kl = 0;
  int64_t rows = 0;
  /// Of `mean`, over the draws of z with the rows held fixed: by how much another seed may change
  /// it. 0, unknown, with one particle.
  double draw_variance = 0;
};

struct EvaluateOptions {
  Sgvb estimator;
  int64_t batch_size = 500;
  uint64_t seed = 0;
};

/// SGVB estimate of the bound at every row, or log p(x) itself where the model has it in closed
/// form (`reconstruction` and `kl` are then 0); no gradients.
/// **RNG** step 2^32 - 1 of the seed, apart from any training step's noise.
[[nodiscard]] Evaluation evaluate_elbo(const Model& model, const data::BatchSource& source,
                                       const EvaluateOptions& options = {});

/// The smallest sigma of a Gaussian p(x | z) at the guide's mean, over all rows and dimensions;
/// +inf for other likelihoods, and where no guide is approximate.
[[nodiscard]] double smallest_sigma(const Model& model, const data::BatchSource& source,
                                    const EvaluateOptions& options = {});

/// The noise that evaluation draws from.
[[nodiscard]] Noise evaluation_noise(uint64_t seed);

}  // namespace elbo
