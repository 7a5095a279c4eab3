// EM for the conjugate case: probabilistic PCA and factor analysis, with missing entries.
#pragma once

#include <ATen/core/Tensor.h>

#include "elbo/distributions/linear_gaussian.h"
#include "elbo/inference/em.h"

namespace elbo {

/// Parameters that EM writes in place, as `Ppca::parameters()` has them.
struct LinearGaussianParameters {
  at::Tensor weight;        ///< [D, d]
  at::Tensor loc;           ///< [D]
  at::Tensor log_variance;  ///< [1]: probabilistic PCA; [D]: factor analysis
};

struct LinearGaussianEmOptions {
  int64_t chunk_rows = 2000;
  double variance_floor = 1e-12;
  bool fixed_variance = false;  ///< leave it as it is (AEVB 4: epsilon)
  void validate() const;
};

/// **Equation** E: E[z], E[z z^T] of each row from its observed entries
/// (`linear_gaussian_posterior`; Rubin and Thayer 1982; Tipping and Bishop 1999, B). M: each
/// column's weights and loc are a regression on (z, 1) over the rows that have it, and its variance
/// what is left.
/// **Shapes** column "x" [M, D]; missing entries are NaN, or those where `Batch::mask` is false.
/// The likelihood is that of the observed entries, and never falls.
class LinearGaussianEm {
 public:
  explicit LinearGaussianEm(LinearGaussianParameters parameters,
                            LinearGaussianEmOptions options = {});

  /// Means, and weights from the site "start" of `noise` at the scale of the columns.
  void start(const RowStream& rows, const Noise& noise);
  /// One E step over all rows and one M step: the log likelihood before it, nats per datum.
  double iterate(const RowStream& rows);
  [[nodiscard]] double log_likelihood(const RowStream& rows) const;
  /// Iterates until a gain of at most `tolerance`; gives the log likelihood.
  double fit(const RowStream& rows, int64_t max_iterations, double tolerance);

 private:
  LinearGaussianParameters parameters_;
  LinearGaussianEmOptions options_;
};

}  // namespace elbo
