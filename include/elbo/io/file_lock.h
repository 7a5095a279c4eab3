// A lock that one process at a time holds.
#pragma once

#include <filesystem>
#include <optional>

namespace elbo::io {

/// Held from `try_lock` until the object or its process ends, however that ends; the file stays.
class FileLock {
 public:
  /// Makes `path` where it does not exist; nothing where another holds its lock. On a file system
  /// that has no locks none is kept, and all succeed.
  /// **Throws** IoError where the file cannot be opened.
  [[nodiscard]] static std::optional<FileLock> try_lock(const std::filesystem::path& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_ = -1;
};

}  // namespace elbo::io
