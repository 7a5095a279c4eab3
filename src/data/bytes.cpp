#include "elbo/data/bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "elbo/error.h"

namespace elbo::data {

Bytes::Bytes(std::vector<std::byte> bytes) {
  const auto owner = std::make_shared<std::vector<std::byte>>(std::move(bytes));
  data_ = owner->data();
  size_ = owner->size();
  owner_ = owner;
}

Bytes Bytes::mapped(const std::filesystem::path& path) {
  const auto fail = [&](const char* what) {
    throw IoError(path.string() + ": can't " + what + ": " + std::strerror(errno));
  };
  struct Descriptor {
    int fd;
    ~Descriptor() {
      if (fd >= 0) ::close(fd);
    }
  } const file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail("open");
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) fail("look at");
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return {};
  void* begin = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.fd, 0);
  if (begin == MAP_FAILED) fail("map");
  Bytes out;
  out.owner_ = std::shared_ptr<void>(begin, [size](void* at) { ::munmap(at, size); });
  out.data_ = static_cast<std::byte*>(begin);
  out.size_ = size;
  return out;
}

void Bytes::drop_front(size_t count, size_t alignment) {
  count = std::min(count, size_);
  data_ += count;
  size_ -= count;
  if (size_ > 0 && reinterpret_cast<uintptr_t>(data_) % alignment != 0)
    *this = Bytes(std::span<const std::byte>(data_, size_));
}

bool operator==(const Bytes& a, const Bytes& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace elbo::data
