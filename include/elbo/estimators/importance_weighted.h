// The importance-weighted bound (Burda, Grosse and Salakhutdinov 2016).
#pragma once

#include "elbo/estimators/bound.h"

namespace elbo {

/// log (1/k) sum_i w_i, w_i = p(x, z_i) / q(z_i | x), from k draws of the guide for each row: a
/// lower bound of log p(x) that rises to it with k; for k = 1 that of SGVB-A.
///
/// `rows` of the Bound is [1, M]; `reconstruction` and `kl` are the terms of each draw, [k, M].
/// **Throws** SiteError as `Sgvb` does, and where a site lies outside the plate: its weight would
/// belong to all rows at once.
struct ImportanceWeighted {
  int64_t num_particles = 50;  ///< k

  void validate() const;
  [[nodiscard]] Bound operator()(const Program& model, const Program& guide, const Batch& batch,
                                 const Noise& noise) const;
};

}  // namespace elbo
