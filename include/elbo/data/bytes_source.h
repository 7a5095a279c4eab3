// Whole files, plain or gzip.
#pragma once

#include <cstddef>
#include <filesystem>

#include "elbo/data/bytes.h"

namespace elbo::data {

/// Largest file, after decompression, that `read_bytes` accepts unless told otherwise (bytes).
inline constexpr size_t kMaxBytes = size_t{16} << 30;

/// Files that are not compressed and have as many bytes are mapped instead of read.
inline constexpr size_t kMapFrom = size_t{64} << 20;

/// Contents of a file; gzip (recognised by its first two bytes, not by its name) is inflated.
///
/// **Throws** NoInputError when there is no such file, IoError when it can't be read, DataError
/// when the gzip stream is truncated, corrupt or followed by other data, or the contents exceed
/// max_bytes.
[[nodiscard]] Bytes read_bytes(const std::filesystem::path& path, size_t max_bytes = kMaxBytes);

}  // namespace elbo::data
