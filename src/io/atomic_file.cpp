#include "elbo/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "elbo/error.h"

namespace elbo::io {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void throw_write(const fs::path& path, int error) {
  throw IoError(path.string() + ": cannot write: " + reason(error));
}

[[noreturn]] void throw_read(const fs::path& path, int error) {
  const std::string message = path.string() + ": cannot read: " + reason(error);
  if (error == ENOENT || error == ENOTDIR) throw NoInputError(message);
  throw IoError(message);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  [[nodiscard]] int get() const { return fd_; }

  /// 0 or the errno. Linux frees the descriptor even when close fails, so it is never retried, and
  /// an interrupted close has lost nothing that fsync had not already reported.
  [[nodiscard]] int close() {
    const int fd = std::exchange(fd_, -1);
    return ::close(fd) == 0 || errno == EINTR ? 0 : errno;
  }

 private:
  int fd_;
};

int open_retrying(const char* path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = ::open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/// 0 or the errno of the write that failed.
int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return 0;
}

int sync_retrying(int fd) {
  while (::fsync(fd) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

void write_directly(const fs::path& path, std::span<const std::byte> bytes) {
  Descriptor file(open_retrying(path.c_str(), O_WRONLY));
  if (file.get() < 0) throw_write(path, errno);
  if (const int error = write_all(file.get(), bytes)) throw_write(path, error);
  if (const int error = file.close()) throw_write(path, error);
}

/// A file that did not exist before, in `directory`. The number after the process id steps over
/// leftovers of a killed process that had the same id (in a container it always has).
fs::path create_temporary(const fs::path& target, int* fd) {
  const fs::path directory = target.parent_path();
  const std::string base = "." + target.filename().string() + ".tmp." + std::to_string(::getpid());
  constexpr int kTries = 1000;
  for (int i = 0; i < kTries; ++i) {
    const fs::path candidate = directory / (i == 0 ? base : base + "." + std::to_string(i));
    *fd = open_retrying(candidate.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (*fd >= 0) return candidate;
    if (errno != EEXIST) throw_write(target, errno);
  }
  throw_write(target, EEXIST);
}

/// 0 or the errno. Some file systems cannot sync a directory and say EINVAL: that is no failure.
int sync_directory(const fs::path& directory) {
  const fs::path opened = directory.empty() ? fs::path(".") : directory;
  Descriptor folder(open_retrying(opened.c_str(), O_RDONLY | O_DIRECTORY));
  if (folder.get() < 0) return errno == EACCES ? 0 : errno;
  const int error = sync_retrying(folder.get());
  return error == EINVAL ? 0 : error;
}

}  // namespace

void write_file(const fs::path& path, std::span<const std::byte> bytes) {
  if (!path.has_filename()) throw_write(path, EISDIR);
  fs::path target = path;
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status)) throw_write(path, EISDIR);
  if (fs::exists(status)) {
    // A rename would replace /dev/full or a named pipe by a plain file.
    if (!fs::is_regular_file(status)) return write_directly(path, bytes);
    target = fs::canonical(path, ignored);
    if (ignored) throw_write(path, ignored.value());
  }

  int fd = -1;
  const fs::path temporary = create_temporary(target, &fd);
  Descriptor file(fd);
  int error = write_all(file.get(), bytes);
  if (error == 0) error = sync_retrying(file.get());
  if (const int close_error = file.close(); error == 0) error = close_error;
  if (error == 0 && ::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    throw_write(path, error);
  }
  if (const int sync_error = sync_directory(target.parent_path())) throw_write(path, sync_error);
}

void write_file(const fs::path& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span<const char>(text.data(), text.size())));
}

std::vector<std::byte> read_file(const fs::path& path) {
  Descriptor file(open_retrying(path.c_str(), O_RDONLY));
  if (file.get() < 0) throw_read(path, errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) throw_read(path, errno);
  if (S_ISDIR(info.st_mode)) throw_read(path, EISDIR);

  // The size is only a first guess: a pipe says 0, and a file may grow while it is read.
  constexpr size_t kSmallest = 4096;
  std::vector<std::byte> bytes(std::max(kSmallest, static_cast<size_t>(info.st_size) + 1));
  size_t used = 0;
  while (true) {
    if (used == bytes.size()) bytes.resize(2 * bytes.size());
    const ssize_t count = ::read(file.get(), bytes.data() + used, bytes.size() - used);
    if (count < 0) {
      if (errno == EINTR) continue;
      throw_read(path, errno);
    }
    if (count == 0) break;
    used += static_cast<size_t>(count);
  }
  bytes.resize(used);
  return bytes;
}

}  // namespace elbo::io
