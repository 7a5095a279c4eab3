// A column that some rows have and others lack.
#pragma once

#include <string>

#include "elbo/estimators/bound.h"

namespace elbo {

/// `estimator` over the rows of a batch that have a value in `column`, and over those that have
/// not, each as a batch of its own: the second without the column, so that programs observe the
/// site where `batch.has(column)` and sample it otherwise. The rows of the bound are in the batch's
/// order.
///
/// **Shapes** `column` is int64 [M], -1 where there is no value. A batch without it is one of rows
/// that all lack it.
/// **RNG** what `estimator` draws, keyed by rows: a row's draws do not depend on which others have
/// values.
/// **Throws** SiteError for bounds that are `combined`, or have global sites.
struct PartlyObserved {
  Estimator estimator;
  std::string column = "y";

  [[nodiscard]] Bound operator()(const Program& model, const Program& guide, const Batch& batch,
                                 const Noise& noise) const;
};

}  // namespace elbo
