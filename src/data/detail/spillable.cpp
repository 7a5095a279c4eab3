#include "data/detail/spillable.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "elbo/data/bytes_source.h"

namespace elbo::data::detail {
namespace {

/// Of a new file whose blocks are there, so that no write to it fails; null where there is none.
void* map_new_file(size_t size) {
  std::error_code none;
  auto name = (std::filesystem::temp_directory_path(none) / "elbo-XXXXXX").string();
  if (none) return nullptr;
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return nullptr;
  ::unlink(name.c_str());
  void* begin = MAP_FAILED;
  if (::posix_fallocate(fd, 0, static_cast<off_t>(size)) == 0)
    begin = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return begin == MAP_FAILED ? nullptr : begin;
}

}  // namespace

at::Tensor spillable(at::IntArrayRef shape, const at::TensorOptions& type) {
  const auto size = static_cast<size_t>(c10::multiply_integers(shape)) * type.dtype().itemsize();
  void* begin = size < kMapFrom ? nullptr : map_new_file(size);
  if (begin == nullptr) return at::empty(shape, type);
  return at::from_blob(
      begin, shape, [size](void* at) { ::munmap(at, size); }, type);
}

}  // namespace elbo::data::detail
