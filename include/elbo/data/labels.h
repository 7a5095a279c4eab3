// Labels of which only some are known.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace elbo::data {

/// `labels`, int64 [N] in 0 .. K - 1, with `count` of them kept, as many of each class, and -1 in
/// place of the others. Which are kept is a pure function of (seed, labels).
/// **Throws** ConfigError unless `count` is a positive multiple of K below N and every class has
/// enough; DataError where a label is negative.
[[nodiscard]] at::Tensor balanced_labels(const at::Tensor& labels, int64_t count, uint64_t seed);

}  // namespace elbo::data
