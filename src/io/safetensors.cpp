#include "elbo/io/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "elbo/error.h"
#include "elbo/io/atomic_file.h"
#include "elbo/io/safetensors_header.h"

namespace elbo::io {
namespace {

constexpr std::pair<SafetensorsType, at::ScalarType> kScalarTypes[] = {
    {SafetensorsType::kF64, at::kDouble},    {SafetensorsType::kF32, at::kFloat},
    {SafetensorsType::kBF16, at::kBFloat16}, {SafetensorsType::kI64, at::kLong},
    {SafetensorsType::kI32, at::kInt},       {SafetensorsType::kU8, at::kByte},
    {SafetensorsType::kBool, at::kBool}};

at::ScalarType to_scalar_type(SafetensorsType type) {
  return std::find_if(std::begin(kScalarTypes), std::end(kScalarTypes),
                      [&](const auto& row) { return row.first == type; })
      ->second;
}

/// What encode_safetensors writes of one tensor.
struct Part {
  const std::string* name;
  SafetensorsType type;
  at::Tensor tensor;  // contiguous, on the CPU
};

Part to_part(const NamedTensor& named) {
  const std::string label = "encode_safetensors: tensor '" + named.name + "'";
  if (!named.tensor.defined()) throw ConfigError(label + " is undefined");
  if (static_cast<size_t>(named.tensor.dim()) > SafetensorsHeader::kMaxRank) {
    throw ShapeError(label + " has " + std::to_string(named.tensor.dim()) +
                     " dimensions; expected at most 8");
  }
  for (const auto& [type, scalar] : kScalarTypes) {
    if (scalar == named.tensor.scalar_type()) {
      return {&named.name, type, named.tensor.detach().to(at::kCPU).contiguous()};
    }
  }
  throw ConfigError(label + " has type " + std::string(named.tensor.dtype().name()) +
                    "; expected float64, float32, bfloat16, int64, int32, uint8 or bool");
}

void append(std::vector<std::byte>& out, const void* data, size_t size) {
  if (size == 0) return;
  const auto* first = static_cast<const std::byte*>(data);
  out.insert(out.end(), first, first + size);
}

}  // namespace

const at::Tensor& TensorFile::at(std::string_view tensor_name) const {
  for (const NamedTensor& named : tensors) {
    if (named.name == tensor_name) return named.tensor;
  }
  throw DataError(name + ": has no tensor '" + std::string(tensor_name) + "'");
}

bool TensorFile::contains(std::string_view tensor_name) const {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const NamedTensor& named) { return named.name == tensor_name; });
}

std::vector<std::byte> encode_safetensors(const TensorFile& file) {
  if (file.tensors.size() > SafetensorsHeader::kMaxTensors) {
    throw ConfigError("encode_safetensors: " + std::to_string(file.tensors.size()) +
                      " tensors; expected at most 65536");
  }
  std::vector<Part> parts;
  std::set<std::string_view> names = {"__metadata__"};
  for (const NamedTensor& named : file.tensors) {
    if (!names.insert(named.name).second) {
      throw ConfigError("encode_safetensors: name '" + named.name + "' is used twice or reserved");
    }
    parts.push_back(to_part(named));
  }
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return element_bytes(a.type) > element_bytes(b.type);
  });

  nlohmann::ordered_json header;
  nlohmann::ordered_json& metadata = header["__metadata__"];
  for (const auto& [key, value] : file.metadata) {
    if (key != "crc32") metadata[key] = value;
  }
  metadata["crc32"] = "00000000";
  uint64_t end = 0;
  for (const Part& part : parts) {
    const uint64_t begin = end;
    end += part.tensor.nbytes();
    header[*part.name] = {{"dtype", type_name(part.type)},
                          {"shape", part.tensor.sizes().vec()},
                          {"data_offsets", {begin, end}}};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    throw ConfigError("encode_safetensors: names and metadata must be UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > SafetensorsHeader::kMaxBytes) {
    throw ConfigError("encode_safetensors: header of " + std::to_string(text.size()) +
                      " bytes; expected at most 16 MiB");
  }

  std::vector<std::byte> out;
  out.reserve(8 + text.size() + end);
  for (unsigned shift = 0; shift < 64; shift += 8) {
    out.push_back(static_cast<std::byte>(static_cast<uint64_t>(text.size()) >> shift));
  }
  append(out, text.data(), text.size());
  for (const Part& part : parts) append(out, part.tensor.data_ptr(), part.tensor.nbytes());

  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", static_cast<unsigned>(safetensors_crc32(out)));
  std::memcpy(out.data() + safetensors_crc32_position(out), digits, 8);
  return out;
}

TensorFile parse_safetensors(std::span<const std::byte> bytes, std::string_view name) {
  SafetensorsHeader header = parse_safetensors_header(bytes, name);
  TensorFile file;
  file.name = name;
  file.metadata = std::move(header.metadata);
  for (SafetensorsEntry& entry : header.entries) {
    const std::span<const std::byte> data = bytes.subspan(entry.offset, entry.bytes);
    if (entry.type == SafetensorsType::kBool &&
        std::any_of(data.begin(), data.end(), [](std::byte b) { return b > std::byte{1}; })) {
      throw DataError(std::string(name) + ": tensor '" + entry.name +
                      "': a BOOL byte is neither 0 nor 1");
    }
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions(to_scalar_type(entry.type)));
    if (!data.empty()) std::memcpy(tensor.data_ptr(), data.data(), data.size());
    file.tensors.push_back({std::move(entry.name), std::move(tensor)});
  }
  return file;
}

void save(const std::filesystem::path& path, const TensorFile& file) {
  write_file(path, encode_safetensors(file));
}

TensorFile load(const std::filesystem::path& path) {
  return parse_safetensors(read_file(path), path.string());
}

}  // namespace elbo::io
