// The IDX format of MNIST's files.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "elbo/data/array.h"

namespace elbo::data {

/// True when the bytes begin as IDX does: two zeros, a type code, a number of dimensions.
[[nodiscard]] bool looks_like_idx(std::span<const std::byte> bytes);

/// Reads uint8 (0x08), int32 (0x0C), float32 (0x0D) or float64 (0x0E), stored big-endian.
///
/// The array keeps the bytes it is given. Nothing is allocated before the declared size is compared
/// with the bytes present.
/// **Throws** DataError, beginning with `name`, for a bad magic number, an element type not listed,
/// an overflowing shape, a truncated file, or bytes left over.
[[nodiscard]] Array parse_idx(Bytes bytes, std::string_view name);

}  // namespace elbo::data
