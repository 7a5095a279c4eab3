#include "elbo/io/safetensors_header.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "elbo/error.h"

namespace elbo::io {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr size_t kCrcDigits = 8;
constexpr std::string_view kCrcKey = "\"crc32\":\"";

struct TypeRow {
  SafetensorsType type;
  std::string_view name;
  int64_t bytes;
};
constexpr std::array<TypeRow, 7> kTypes = {{{SafetensorsType::kF64, "F64", 8},
                                            {SafetensorsType::kF32, "F32", 4},
                                            {SafetensorsType::kBF16, "BF16", 2},
                                            {SafetensorsType::kI64, "I64", 8},
                                            {SafetensorsType::kI32, "I32", 4},
                                            {SafetensorsType::kU8, "U8", 1},
                                            {SafetensorsType::kBool, "BOOL", 1}}};

const TypeRow& row_of(SafetensorsType type) {
  return *std::find_if(kTypes.begin(), kTypes.end(),
                       [&](const TypeRow& row) { return row.type == type; });
}

/// Text from a file is untrusted: made short and printable before it enters a message.
std::string printable(std::string_view text) {
  constexpr size_t kLongest = 60;
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return out + (text.size() > kLongest ? "...'" : "'");
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint64_t read_length(std::span<const std::byte> bytes) {
  uint64_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;)
    length = (length << 8U) | std::to_integer<uint64_t>(bytes[i]);
  return length;
}

/// The header's text, or empty when the file is too short for what it declares.
std::string_view header_text(std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes) return {};
  const uint64_t length = read_length(bytes);
  if (length > bytes.size() - kLengthBytes) return {};
  return as_text(bytes.subspan(kLengthBytes, length));
}

/// Builds the entries straight from the parser's events, because a parsed json object would hide
/// duplicate keys (the last one wins silently). Each callback returns false to stop.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  struct Raw {
    SafetensorsEntry entry;
    std::vector<uint64_t> offsets;
    std::set<std::string> fields;
  };

  std::vector<Raw> tensors;
  std::map<std::string, std::string> metadata;
  std::string problem;

  bool null() override { return refuse("null where a value is expected"); }
  bool boolean(bool /*value*/) override { return refuse("a boolean where none is expected"); }
  bool binary(binary_t& /*value*/) override { return refuse("binary where none is expected"); }
  bool number_integer(number_integer_t value) override {
    return refuse("negative number " + std::to_string(value));
  }
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    return refuse("number " + printable(text) + "; expected a whole number below 2^64");
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (where_ == Where::kShape) {
      auto& shape = tensors.back().entry.shape;
      if (shape.size() == SafetensorsHeader::kMaxRank) {
        return refuse(tensor() + ": more than " + std::to_string(SafetensorsHeader::kMaxRank) +
                      " dimensions");
      }
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return refuse(tensor() + ": shape overflows");
      }
      shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (where_ == Where::kOffsets) {
      auto& offsets = tensors.back().offsets;
      if (offsets.size() == 2) return refuse(tensor() + ": data_offsets needs two numbers");
      offsets.push_back(value);
      return true;
    }
    return refuse("number " + std::to_string(value) + " where none is expected");
  }

  bool string(string_t& value) override {
    if (where_ == Where::kMetadata) {
      metadata[key_] = value;
      return true;
    }
    if (where_ != Where::kTensor || key_ != "dtype") {
      return refuse("string " + printable(value) + " where none is expected");
    }
    for (const TypeRow& row : kTypes) {
      if (row.name == value) {
        tensors.back().entry.type = row.type;
        return true;
      }
    }
    return refuse(tensor() + ": dtype " + printable(value) +
                  "; expected F64, F32, BF16, I64, I32, U8 or BOOL");
  }

  bool start_object(std::size_t /*count*/) override {
    if (++depth_ > SafetensorsHeader::kMaxDepth) return refuse("nested too deeply");
    if (where_ == Where::kStart) {
      where_ = Where::kTop;
    } else if (where_ == Where::kTop && key_ == "__metadata__") {
      where_ = Where::kMetadata;
    } else if (where_ == Where::kTop) {
      if (tensors.size() == SafetensorsHeader::kMaxTensors) {
        return refuse("more than " + std::to_string(SafetensorsHeader::kMaxTensors) + " tensors");
      }
      tensors.emplace_back().entry.name = key_;
      where_ = Where::kTensor;
    } else {
      return refuse(where_ == Where::kMetadata ? "__metadata__ must hold only strings"
                                               : "an object where none is expected");
    }
    return true;
  }

  bool key(string_t& value) override {
    std::set<std::string>* seen = &top_keys_;
    if (where_ == Where::kMetadata) seen = &metadata_keys_;
    if (where_ == Where::kTensor) {
      seen = &tensors.back().fields;
      if (value != "dtype" && value != "shape" && value != "data_offsets") {
        return refuse(tensor() + ": unknown field " + printable(value));
      }
    }
    if (!seen->insert(value).second) return refuse("duplicate key " + printable(value));
    key_ = value;
    return true;
  }

  bool end_object() override {
    --depth_;
    if (where_ == Where::kTensor) {
      if (tensors.back().fields.size() != 3) {
        return refuse(tensor() + ": needs dtype, shape and data_offsets");
      }
      if (tensors.back().offsets.size() != 2) {
        return refuse(tensor() + ": data_offsets needs two numbers");
      }
    }
    where_ = depth_ == 0 ? Where::kEnd : Where::kTop;
    return true;
  }

  bool start_array(std::size_t /*count*/) override {
    if (++depth_ > SafetensorsHeader::kMaxDepth) return refuse("nested too deeply");
    if (where_ == Where::kTensor && key_ == "shape") {
      where_ = Where::kShape;
    } else if (where_ == Where::kTensor && key_ == "data_offsets") {
      where_ = Where::kOffsets;
    } else {
      return refuse("an array where none is expected");
    }
    return true;
  }

  bool end_array() override {
    --depth_;
    where_ = Where::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return refuse("not valid JSON at byte " + std::to_string(position));
  }

 private:
  enum class Where { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };

  bool refuse(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }

  [[nodiscard]] std::string tensor() const {
    return "tensor " + printable(tensors.back().entry.name);
  }

  Where where_ = Where::kStart;
  int depth_ = 0;
  std::string key_;
  std::set<std::string> top_keys_;
  std::set<std::string> metadata_keys_;
};

/// shape's element count times the element size, or nothing on overflow. Zero dimensions count as
/// one in the overflow check, since libtorch computes strides that way.
std::optional<uint64_t> bytes_of(const SafetensorsEntry& entry) {
  int64_t bounded = element_bytes(entry.type);
  bool empty = false;
  for (const int64_t size : entry.shape) {
    empty = empty || size == 0;
    if (__builtin_mul_overflow(bounded, std::max<int64_t>(size, 1), &bounded)) return {};
  }
  return empty ? 0 : static_cast<uint64_t>(bounded);
}

}  // namespace

std::string_view type_name(SafetensorsType type) { return row_of(type).name; }

int64_t element_bytes(SafetensorsType type) { return row_of(type).bytes; }

size_t safetensors_crc32_position(std::span<const std::byte> bytes) {
  const std::string_view text = header_text(bytes);
  // Inside a JSON string the quotes would be escaped, so this text can only be the real key.
  const size_t key = text.find(kCrcKey);
  if (key == std::string_view::npos) return 0;
  const size_t digits = key + kCrcKey.size();
  if (text.size() - digits < kCrcDigits + 1 || text[digits + kCrcDigits] != '"') return 0;
  return kLengthBytes + digits;
}

uint32_t safetensors_crc32(std::span<const std::byte> bytes) {
  uLong crc = crc32_z(0, nullptr, 0);
  const auto add = [&](std::span<const std::byte> part) {
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(part.data()), part.size());
  };
  const size_t position = safetensors_crc32_position(bytes);
  if (position == 0) {
    add(bytes);
  } else {
    constexpr std::string_view kZeros = "00000000";
    add(bytes.first(position));
    add(std::as_bytes(std::span<const char>(kZeros.data(), kZeros.size())));
    add(bytes.subspan(position + kCrcDigits));
  }
  return static_cast<uint32_t>(crc);
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes,
                                           std::string_view name) {
  const auto fail = [&](const std::string& why) -> void {
    throw DataError(std::string(name) + ": safetensors: " + why);
  };
  if (bytes.size() < kLengthBytes) {
    fail("file has " + std::to_string(bytes.size()) + " bytes; expected at least 8");
  }
  const uint64_t length = read_length(bytes);
  if (length > SafetensorsHeader::kMaxBytes) {
    fail("header of " + std::to_string(length) + " bytes; expected at most " +
         std::to_string(SafetensorsHeader::kMaxBytes));
  }
  if (length > bytes.size() - kLengthBytes) {
    fail("header of " + std::to_string(length) + " bytes; the file has " +
         std::to_string(bytes.size() - kLengthBytes) + " left (truncated?)");
  }
  const std::string_view text = header_text(bytes);
  if (text.empty() || text.front() != '{') fail("header does not begin with '{'");
  // The JSON lexer takes a NUL for the end of its input and would ignore what follows.
  if (text.find('\0') != std::string_view::npos) fail("header holds a NUL byte");

  HeaderReader reader;
  if (!json::sax_parse(text.begin(), text.end(), &reader)) fail("header: " + reader.problem);

  SafetensorsHeader header;
  header.metadata = std::move(reader.metadata);
  std::stable_sort(reader.tensors.begin(), reader.tensors.end(),
                   [](const auto& a, const auto& b) { return a.offsets < b.offsets; });
  const uint64_t data_bytes = bytes.size() - kLengthBytes - length;
  uint64_t end = 0;
  for (auto& raw : reader.tensors) {
    SafetensorsEntry& entry = raw.entry;
    const std::string label = "tensor " + printable(entry.name);
    const uint64_t first = raw.offsets[0];
    const uint64_t last = raw.offsets[1];
    if (first != end || last < first) {
      fail(label + ": data_offsets [" + std::to_string(first) + ", " + std::to_string(last) +
           "]; expected to begin at " + std::to_string(end));
    }
    if (last > data_bytes) {
      fail(label + ": data ends at byte " + std::to_string(last) + "; the file holds " +
           std::to_string(data_bytes) + " (truncated?)");
    }
    const std::optional<uint64_t> expected = bytes_of(entry);
    if (!expected) fail(label + ": shape overflows");
    if (*expected != last - first) {
      fail(label + ": " + std::to_string(last - first) + " bytes; its shape needs " +
           std::to_string(*expected));
    }
    entry.offset = kLengthBytes + length + first;
    entry.bytes = last - first;
    end = last;
    header.entries.push_back(std::move(entry));
  }
  if (end != data_bytes) {
    fail(std::to_string(data_bytes - end) + " bytes after the last tensor; expected none");
  }

  if (const auto stored = header.metadata.find("crc32"); stored != header.metadata.end()) {
    char expected[kCrcDigits + 1];
    std::snprintf(expected, sizeof expected, "%08x",
                  static_cast<unsigned>(safetensors_crc32(bytes)));
    if (stored->second != expected) {
      fail("checksum does not match; the file is damaged");
    }
    header.metadata.erase(stored);
  }
  return header;
}

}  // namespace elbo::io
