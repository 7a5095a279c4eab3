#include "elbo/data/npy.h"

#include <charconv>
#include <cstring>
#include <optional>
#include <string>

namespace elbo::data {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxDimensions = 32;  // NumPy's own limit

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Header {
  std::vector<int64_t> shape;
  DType dtype = DType::kUInt8;
  bool fortran_order = false;
  size_t length = 0;  // bytes before the elements
};

DType type_of(std::string_view descr, const std::string& name) {
  if (descr == "|u1" || descr == "<u1" || descr == "|b1" || descr == "?") return DType::kUInt8;
  if (descr == "<i4") return DType::kInt32;
  if (descr == "<i8") return DType::kInt64;
  if (descr == "<f4") return DType::kFloat32;
  if (descr == "<f8") return DType::kFloat64;
  std::string what = "element type '" + std::string(descr.substr(0, 20)) + "'";
  if (descr.size() >= 2) {
    const char kind = descr[1];
    if (kind == 'O') what = "object array (" + what + ")";
    if (kind == 'U' || kind == 'S') what = "text array (" + what + ")";
    if (kind == 'c') what = "complex array (" + what + ")";
    if (descr[0] == '>') what = "big-endian " + what;
  }
  throw DataError(name + ": NPY " + what +
                  " is not supported; expected u1, b1, <i4, <i8, <f4 or <f8");
}

// The header is a Python dict literal with exactly the keys descr, fortran_order and shape.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Header parse() {
    Header header;
    std::optional<std::string_view> descr;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr") {
        skip_space();
        if (at_ < text_.size() && text_[at_] == '[') {
          throw DataError(name_ +
                          ": NPY structured array is not supported; expected u1, b1, <i4, "
                          "<i8, <f4 or <f8");
        }
        descr = quoted();
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
        has_order = true;
      } else if (key == "shape") {
        header.shape = tuple();
        has_shape = true;
      } else {
        fail();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size() || !descr || !has_order || !has_shape) fail();
    header.dtype = type_of(*descr, name_);
    return header;
  }

 private:
  [[noreturn]] void fail() const {
    throw DataError(name_ + ": malformed NPY header at character " + std::to_string(at_) +
                    "; expected {'descr': …, 'fortran_order': …, 'shape': …}");
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }
  bool accept_word(std::string_view word) {
    skip_space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  std::string_view quoted() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) fail();
    const std::string_view value = text_.substr(at_, end - at_);
    at_ = end + 1;
    return value;
  }
  bool boolean() {
    if (accept_word("True")) return true;
    if (accept_word("False")) return false;
    fail();
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> shape;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t value = 0;
      const auto [end, error] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
      if (error == std::errc::result_out_of_range) {
        throw DataError(name_ + ": NPY shape has a dimension beyond 64 bits");
      }
      if (error != std::errc{} || shape.size() == kMaxDimensions) fail();
      at_ = static_cast<size_t>(end - text_.data());
      accept('L');  // written by NumPy under Python 2
      shape.push_back(value);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
};

Header parse_header(std::span<const std::byte> bytes, std::string_view name_view) {
  const std::string name(name_view);
  if (!looks_like_npy(bytes)) {
    throw DataError(name + ": not NPY: expected the file to begin with \\x93NUMPY");
  }
  const auto byte_at = [&](size_t i) { return std::to_integer<size_t>(bytes[i]); };
  const size_t version = bytes.size() > 7 ? byte_at(6) : 0;
  const size_t before = version == 1 ? 10 : 12;
  if (bytes.size() >= 8 && (version < 1 || version > 3)) {
    throw DataError(name + ": NPY version " + std::to_string(version) +
                    " is not supported; expected 1, 2 or 3");
  }
  size_t text_length = 0;
  if (bytes.size() >= before) {
    for (size_t i = before; i-- > 8;) text_length = text_length << 8 | byte_at(i);
  }
  if (bytes.size() < before || bytes.size() - before < text_length) {
    throw DataError(name + ": truncated NPY: the file ends inside its header");
  }
  Header header = HeaderParser(text_of(bytes.subspan(before, text_length)), name).parse();
  header.length = before + text_length;
  const int64_t declared = checked_bytes(header.shape, header.dtype, name);
  const int64_t present = static_cast<int64_t>(bytes.size() - header.length);
  if (present != declared) {
    const std::string kind = present < declared ? ": truncated NPY" : ": trailing data after NPY";
    throw DataError(name + kind + ": header declares " + shape_string(header.shape) + " " +
                    std::string(name_of(header.dtype)) + " = " + std::to_string(declared) +
                    " bytes, file has " + std::to_string(present));
  }
  return header;
}

Array to_c_order(const Array& fortran) {
  Array array = Array::zeros(fortran.shape, fortran.dtype);
  const size_t item = fortran.item_size();
  const size_t dimensions = fortran.shape.size();
  std::vector<int64_t> stride(dimensions, 1);  // of the Fortran layout, in elements
  for (size_t d = 1; d < dimensions; ++d) stride[d] = stride[d - 1] * fortran.shape[d - 1];
  std::vector<int64_t> index(dimensions, 0);
  int64_t from = 0;
  const int64_t count = array.numel();
  for (int64_t to = 0; to < count; ++to) {
    std::memcpy(array.bytes.data() + static_cast<size_t>(to) * item,
                fortran.bytes.data() + static_cast<size_t>(from) * item, item);
    for (size_t d = dimensions; d-- > 0;) {
      from += stride[d];
      if (++index[d] < array.shape[d]) break;
      from -= stride[d] * array.shape[d];
      index[d] = 0;
    }
  }
  return array;
}

std::string_view descr_of(DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
      return "|u1";
    case DType::kInt32:
      return "<i4";
    case DType::kInt64:
      return "<i8";
    case DType::kFloat32:
      return "<f4";
    case DType::kFloat64:
      return "<f8";
  }
  throw DataError("encode_npy: not a DType");
}

}  // namespace

bool looks_like_npy(std::span<const std::byte> bytes) {
  return text_of(bytes).substr(0, kMagic.size()) == kMagic;
}

Array parse_npy(Bytes bytes, std::string_view name) {
  Header header = parse_header({bytes.data(), bytes.size()}, name);
  Array array;
  array.shape = std::move(header.shape);
  array.dtype = header.dtype;
  array.bytes = std::move(bytes);
  array.bytes.drop_front(header.length, array.item_size());
  if (header.fortran_order && array.shape.size() > 1) return to_c_order(array);
  return array;
}

std::vector<std::byte> encode_npy(const Array& array) {
  const int64_t expected = checked_bytes(array.shape, array.dtype, "encode_npy");
  if (expected != static_cast<int64_t>(array.bytes.size())) {
    throw DataError("encode_npy: shape " + shape_string(array.shape) + " needs " +
                    std::to_string(expected) + " bytes; the array has " +
                    std::to_string(array.bytes.size()));
  }
  std::string shape;
  for (const int64_t size : array.shape) {
    shape += (shape.empty() ? "" : ", ") + std::to_string(size);
  }
  if (array.shape.size() == 1) shape += ",";
  std::string text = "{'descr': '" + std::string(descr_of(array.dtype)) +
                     "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // The elements begin at a multiple of 64 bytes; the header ends with a line feed.
  constexpr size_t kBefore = 10;
  text.append(63 - (kBefore + text.size()) % 64, ' ');
  text += '\n';
  std::string head(kMagic);
  head += '\x01';
  head += '\x00';
  head += static_cast<char>(text.size() & 0xff);
  head += static_cast<char>(text.size() >> 8);
  head += text;
  std::vector<std::byte> bytes(head.size() + array.bytes.size());
  std::memcpy(bytes.data(), head.data(), head.size());
  if (!array.bytes.empty()) {
    std::memcpy(bytes.data() + head.size(), array.bytes.data(), array.bytes.size());
  }
  return bytes;
}

}  // namespace elbo::data
