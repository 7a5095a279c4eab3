// NumPy's NPY format, versions 1 to 3.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "elbo/data/array.h"

namespace elbo::data {

/// True when the bytes begin with NPY's magic string.
[[nodiscard]] bool looks_like_npy(std::span<const std::byte> bytes);

/// Reads |u1, |b1 (as uint8), <i4, <i8, <f4 or <f8; Fortran order becomes C order.
///
/// The array keeps the bytes it is given. Nothing is allocated before the declared size is compared
/// with the bytes present.
/// **Throws** DataError, beginning with `name`, for a malformed header, an element type not listed
/// (object arrays among them: reading one would run code), a truncated file, or bytes left over.
[[nodiscard]] Array parse_npy(Bytes bytes, std::string_view name);

/// The array as a version 1 NPY file, byte for byte as numpy.save writes it.
[[nodiscard]] std::vector<std::byte> encode_npy(const Array& array);

}  // namespace elbo::data
