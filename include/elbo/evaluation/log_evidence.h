// Estimates of log p(x), row by row, with what is known of their error.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "elbo/data/batch_source.h"
#include "elbo/evaluation/pareto.h"

namespace elbo {

/// log p(x) of M rows, from S weights each. float64 [M], in nats.
struct LogEvidence {
  at::Tensor rows;            ///< the estimate
  at::Tensor standard_error;  ///< of the draws; means little where k_hat says so
  at::Tensor k_hat;           ///< of the weights' tail (evaluation/pareto.h)
};

/// log (1/S) sum_s w_s of independent weights: `log_weights` [S, M], S >= 2.
/// **Equation** Standard error by the delta method: sd(w) / (sqrt(S) mean(w)). The estimate is low
/// by half its square in the mean (Jensen), as far as that is small.
/// **Throws** ConfigError for S < 2.
[[nodiscard]] LogEvidence log_mean_weight(const at::Tensor& log_weights);

/// Of a data set.
struct EvidenceSummary {
  double mean = 0;            ///< nats per datum
  double standard_error = 0;  ///< over rows: how far another set of this size may lie
  double draws_error = 0;     ///< of the mean, by the draws alone: sqrt(sum of squares) / rows
  int64_t heavy_rows = 0;     ///< whose k_hat lies above kInfiniteVariance
  double largest_k_hat = 0;   ///< NaN where no row has one
  int64_t rows = 0;
};

struct EvidenceOptions {
  int64_t batch_size = 100;
  uint64_t seed = 0;
  std::function<void(int64_t done, int64_t total)> on_batch = {};  ///< rows done, after each batch
};

/// Runs `estimate` over all rows, without gradient but what it takes itself.
/// **RNG** as `evaluate_elbo`.
/// **Throws** DataError where there are no rows; NumericError where an estimate is not finite.
[[nodiscard]] EvidenceSummary evaluate_evidence(
    const data::BatchSource& source,
    const std::function<LogEvidence(const Batch&, const Noise&)>& estimate,
    const EvidenceOptions& options = {});

}  // namespace elbo
