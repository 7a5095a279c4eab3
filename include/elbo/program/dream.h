// Data drawn from a model, as its guide sees them.
#pragma once

#include "elbo/program/trace.h"

namespace elbo {

/// A draw (x, z) ~ p(x, z) for each row: what wake-sleep's sleep phase learns from, and data whose
/// posterior has a known draw.
struct Dream {
  Trace trace;  ///< of the model: z, and x still marked observed; one particle, without gradient
  Batch batch;  ///< x in the columns of the observed sites' names; rows 0 .. M - 1
};

/// Draws as many rows as `batch` has. What no observed site stands for is as in `batch`: other
/// columns, the mask, the lengths, the total.
///
/// **RNG** the model's sites of `noise`, rows 0 .. M - 1: a dream belongs to no row of the data.
/// **Throws** SiteError for an observed site without a column of its name.
[[nodiscard]] Dream dream(const Program& model, const Batch& batch, const Noise& noise);

}  // namespace elbo
