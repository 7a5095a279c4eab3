// Named tensors in one file, in the safetensors layout (readable by its other implementations).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::io {

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// What a safetensors file holds. Types: float64, float32, bfloat16, int64, int32, uint8, bool.
struct TensorFile {
  std::vector<NamedTensor> tensors = {};
  std::map<std::string, std::string> metadata = {};
  std::string name = "tensors";  ///< where it came from, for messages

  /// The tensor called `tensor_name`. Throws: DataError naming file and tensor.
  [[nodiscard]] const at::Tensor& at(std::string_view tensor_name) const;
  [[nodiscard]] bool contains(std::string_view tensor_name) const;
};

/// The file's bytes. Data is laid out by descending element size, so that every tensor is aligned;
/// reading returns that order. `metadata["crc32"]` is written here and checked on reading: it
/// covers header and data. Throws: ConfigError for a name used twice, an unsupported type, or an
/// undefined tensor; ShapeError for more than 8 dimensions.
[[nodiscard]] std::vector<std::byte> encode_safetensors(const TensorFile& file);

/// Parses untrusted bytes; `name` goes into messages. The tensors own their memory (CPU).
/// Throws: DataError.
[[nodiscard]] TensorFile parse_safetensors(std::span<const std::byte> bytes, std::string_view name);

/// encode_safetensors and write_file. Throws as they do.
void save(const std::filesystem::path& path, const TensorFile& file);

/// read_file and parse_safetensors. Throws as they do.
[[nodiscard]] TensorFile load(const std::filesystem::path& path);

}  // namespace elbo::io
