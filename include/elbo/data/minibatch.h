// The order in which an epoch visits the rows, and what binarisation means.
#pragma once

#include <cstdint>
#include <vector>

namespace elbo::data {

/// What becomes of grey values in [0, 1] before a Bernoulli likelihood sees them.
enum class Binarize {
  kNone,       ///< left as they are (AEVB's way)
  kThreshold,  ///< 1 where above 0.5
  kSample,     ///< drawn anew each time with the value as probability (IWAE's way)
};

/// A shuffle of 0 … n - 1, each order equally likely: a pure function of (seed, epoch, n), so that
/// a resumed run needs no state. **Throws** DomainError when n or epoch is negative.
[[nodiscard]] std::vector<int64_t> epoch_order(uint64_t seed, int64_t epoch, int64_t n);

}  // namespace elbo::data
