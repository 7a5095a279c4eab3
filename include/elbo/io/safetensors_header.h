// The header of a safetensors file, parsed and checked without trusting a byte of it. No libtorch
// here, so that the parser can be fuzzed at full speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::io {

enum class SafetensorsType { kF64, kF32, kBF16, kI64, kI32, kU8, kBool };

/// The format's own spelling ("F32") and the bytes of one element.
[[nodiscard]] std::string_view type_name(SafetensorsType type);
[[nodiscard]] int64_t element_bytes(SafetensorsType type);

/// One tensor: `bytes` at `offset` of the file, shape of at most kMaxRank dimensions.
struct SafetensorsEntry {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<int64_t> shape;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct SafetensorsHeader {
  static constexpr uint64_t kMaxBytes = 16U << 20U;
  static constexpr size_t kMaxTensors = 65536;
  static constexpr size_t kMaxRank = 8;
  static constexpr int kMaxDepth = 4;

  std::vector<SafetensorsEntry> entries;        ///< in the order of their data
  std::map<std::string, std::string> metadata;  ///< without the checksum
};

/// Parses and checks the header of the whole file `bytes`; `name` goes into messages. The tensors
/// lie within the file, one after another from the end of the header to the end of the file, and a
/// checksum, when there is one, has been verified.
/// Throws: DataError.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                                         std::string_view name);

/// CRC-32 (zlib's) of a whole file whose eight checksum digits, if it has them, are read as '0':
/// `__metadata__` holds it as eight lower-case hexadecimal digits under "crc32".
[[nodiscard]] uint32_t safetensors_crc32(std::span<const std::byte> bytes);

/// Where the eight digits stand in the file, or 0 when it carries no checksum.
[[nodiscard]] size_t safetensors_crc32_position(std::span<const std::byte> bytes);

}  // namespace elbo::io
