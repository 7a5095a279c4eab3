// How well q(y | x) tells classes apart.
#pragma once

#include "elbo/data/batch_source.h"
#include "elbo/models/semi_supervised.h"

namespace elbo {

/// q(y | x) of every row: [N, K].
/// **RNG** that of `evaluate_elbo`, for a sampled binarisation.
[[nodiscard]] at::Tensor class_probabilities(const SemiSupervised& model,
                                             const data::BatchSource& source, uint64_t seed = 0);

/// Rows whose likeliest class is not their label.
struct ErrorRate {
  double rate = 0;
  double standard_error = 0;  ///< of another set of as many rows
  int64_t errors = 0;
  int64_t rows = 0;
};

/// **Shapes** probabilities [N, K], labels int64 [N]. **Throws** ShapeError where they are not.
[[nodiscard]] ErrorRate error_rate(const at::Tensor& probabilities, const at::Tensor& labels);

}  // namespace elbo
