#include "elbo/data/idx.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>

namespace elbo::data {
namespace {

struct Header {
  std::vector<int64_t> shape;
  DType dtype;
  size_t length;  // bytes before the elements
};

std::optional<DType> type_of(std::byte code) {
  switch (std::to_integer<int>(code)) {
    case 0x08:
      return DType::kUInt8;
    case 0x0C:
      return DType::kInt32;
    case 0x0D:
      return DType::kFloat32;
    case 0x0E:
      return DType::kFloat64;
    default:
      return std::nullopt;
  }
}

int64_t big_endian_32(std::span<const std::byte> bytes) {
  int64_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<int64_t>(bytes[i]);
  return value;
}

Header parse_header(std::span<const std::byte> bytes, std::string_view name_view) {
  const std::string name(name_view);
  if (bytes.size() < 4) {
    throw DataError(name + ": truncated IDX: expected a header of at least 4 bytes, file has " +
                    std::to_string(bytes.size()));
  }
  if (bytes[0] != std::byte{0} || bytes[1] != std::byte{0}) {
    throw DataError(name + ": not IDX: expected the file to begin with two zero bytes");
  }
  const std::optional<DType> dtype = type_of(bytes[2]);
  if (!dtype) {
    throw DataError(
        name + ": IDX element type " + std::to_string(std::to_integer<int>(bytes[2])) +
        " is not supported; expected 8 (uint8), 12 (int32), 13 (float32) or 14 (float64)");
  }
  const size_t dimensions = std::to_integer<size_t>(bytes[3]);
  if (dimensions == 0) throw DataError(name + ": IDX header declares no dimensions");
  Header header{{}, *dtype, 4 + 4 * dimensions};
  if (bytes.size() < header.length) {
    throw DataError(name + ": truncated IDX: expected a header of " +
                    std::to_string(header.length) + " bytes, file has " +
                    std::to_string(bytes.size()));
  }
  for (size_t i = 0; i < dimensions; ++i) {
    header.shape.push_back(big_endian_32(bytes.subspan(4 + 4 * i, 4)));
  }
  const int64_t declared = checked_bytes(header.shape, header.dtype, name);
  const int64_t present = static_cast<int64_t>(bytes.size() - header.length);
  if (present != declared) {
    const std::string kind = present < declared ? ": truncated IDX" : ": trailing data after IDX";
    throw DataError(
        name + kind + ": header declares " + shape_string(header.shape) +
        (header.dtype == DType::kUInt8 ? "" : " " + std::string(name_of(header.dtype))) + " = " +
        std::to_string(declared) + " bytes, file has " + std::to_string(present));
  }
  return header;
}

}  // namespace

bool looks_like_idx(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && bytes[0] == std::byte{0} && bytes[1] == std::byte{0} &&
         std::to_integer<int>(bytes[2]) >= 0x08 && std::to_integer<int>(bytes[2]) <= 0x0E;
}

Array parse_idx(Bytes bytes, std::string_view name) {
  Header header = parse_header({bytes.data(), bytes.size()}, name);
  Array array;
  array.shape = std::move(header.shape);
  array.dtype = header.dtype;
  array.bytes = std::move(bytes);
  array.bytes.drop_front(header.length, array.item_size());
  const auto item = static_cast<std::ptrdiff_t>(array.item_size());
  if (item > 1 && std::endian::native == std::endian::little) {
    for (auto it = array.bytes.begin(); it != array.bytes.end(); it += item) {
      std::reverse(it, it + item);
    }
  }
  return array;
}

}  // namespace elbo::data
