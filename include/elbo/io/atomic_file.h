// Whole-file reading and crash-safe writing: after a failure the old file is still there, complete.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace elbo::io {

/// Replaces `path` by a file holding exactly `bytes`, or leaves it as it was.
///
/// Writes a temporary file beside it, syncs, renames, and syncs the directory. A symbolic link is
/// followed. A device or a pipe cannot be replaced and is written to directly.
/// Throws: IoError ("PATH: cannot write: No space left on device").
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);

/// The same for text.
void write_file(const std::filesystem::path& path, std::string_view text);

/// All bytes of `path`. Throws: NoInputError when it does not exist, IoError otherwise.
[[nodiscard]] std::vector<std::byte> read_file(const std::filesystem::path& path);

}  // namespace elbo::io
