// A block of bytes: memory of its own, or a file's, mapped.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace elbo::data {

/// Contiguous bytes that may be written; writes to a mapped file's stay in this process.
class Bytes {
 public:
  Bytes() = default;
  explicit Bytes(size_t size) : Bytes(std::vector<std::byte>(size)) {}  ///< zeros
  Bytes(std::vector<std::byte> bytes);                                  // NOLINT: it is bytes
  Bytes(std::span<const std::byte> bytes)                               // NOLINT: as above
      : Bytes(std::vector<std::byte>(bytes.begin(), bytes.end())) {}

  /// A regular file, of which only what is looked at takes memory, and that shared with all who
  /// read it. It must not shrink while it is mapped.
  /// **Throws** IoError where it can't be mapped.
  [[nodiscard]] static Bytes mapped(const std::filesystem::path& path);

  // Copies are of the bytes.
  Bytes(const Bytes& other) : Bytes(std::span<const std::byte>(other.data(), other.size())) {}
  Bytes(Bytes&& other) noexcept { swap(other); }
  Bytes& operator=(Bytes other) noexcept {
    swap(other);
    return *this;
  }
  ~Bytes() = default;

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::byte* data() { return data_; }
  [[nodiscard]] const std::byte* data() const { return data_; }
  [[nodiscard]] std::byte* begin() { return data_; }
  [[nodiscard]] std::byte* end() { return data_ + size_; }
  [[nodiscard]] const std::byte* begin() const { return data_; }
  [[nodiscard]] const std::byte* end() const { return data_ + size_; }
  std::byte& operator[](size_t i) { return data_[i]; }
  const std::byte& operator[](size_t i) const { return data_[i]; }

  /// Leaves the first `count` bytes out, without moving the others unless these then began at no
  /// multiple of `alignment`.
  void drop_front(size_t count, size_t alignment);

 private:
  void swap(Bytes& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  std::shared_ptr<void> owner_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

[[nodiscard]] bool operator==(const Bytes& a, const Bytes& b);

}  // namespace elbo::data
