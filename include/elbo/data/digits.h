// The built-in data set: handwritten-looking digits drawn from stroke descriptions.
#pragma once

#include <cstdint>

#include "elbo/data/array.h"

namespace elbo::data {

/// Side of a digit image in pixels.
inline constexpr int64_t kDigitSide = 28;

struct Labelled {
  Array images;  ///< [n, 28, 28] uint8, white (255) on black (0)
  Array labels;  ///< [n] uint8, 0 … 9
};

/// Draws images first … first + count - 1 of the endless set named by the seed.
///
/// Each image is a pure function of (seed, index), whatever the range asked for or the number of
/// threads. Every run of ten indices that starts at a multiple of ten holds each label once.
/// **RNG** Philox keyed by seed; no state. **Throws** DomainError when first or count is negative.
[[nodiscard]] Labelled make_digits(uint64_t seed, int64_t first, int64_t count);

}  // namespace elbo::data
