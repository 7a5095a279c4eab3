// An estimate of the evidence lower bound, not yet reduced over rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "elbo/program/trace.h"

namespace elbo {

/// The terms of a bound, in nats. What lies inside the plate is kept a row; global sites (weights
/// as latent variables: FVB) apart, for they count once and not N/M times.
///
/// Rows that were not drawn from all of the data alike have weights (see Batch): a mean over rows
/// is then a weighted one.
struct Bound {
  at::Tensor reconstruction{};  ///< [L, M]: log p(x | z)
  at::Tensor kl{};              ///< [L, M]: closed form, or its one-sample estimate log q - log p
  at::Tensor combined{};        ///< [1 or L, M]: where it is another function of them; or undefined
  at::Tensor global{};          ///< [L, 1], or undefined without global sites
  int64_t total = 0;            ///< N
  at::Tensor weights{};         ///< [M], those of the batch; or undefined
  /// [L, M]: what else the objective has of a row and the bound has not: how well the guide
  /// predicts what it observes; or undefined.
  at::Tensor supervision{};

  /// [1 or L, M]: the bound of each particle and row, reconstruction - kl unless `combined`.
  [[nodiscard]] at::Tensor rows() const;
  /// (1/M) sum of rows + (1/N) global, averaged over particles: a scalar, differentiable.
  [[nodiscard]] at::Tensor per_datum() const;
  /// N/M sum of rows + global (AEVB eq 8): the full-data bound's unbiased estimate.
  [[nodiscard]] at::Tensor full_data() const;
};

/// Any estimator of a bound, of a model and its guide: `Sgvb`, `ImportanceWeighted`, one's own.
using Estimator =
    std::function<Bound(const Program& model, const Program& guide, const Batch&, const Noise&)>;

}  // namespace elbo
