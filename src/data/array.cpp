#include "elbo/data/array.h"

namespace elbo::data {

size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
      return 1;
    case DType::kInt32:
    case DType::kFloat32:
      return 4;
    case DType::kInt64:
    case DType::kFloat64:
      return 8;
  }
  throw DataError("size_of: not a DType");
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
      return "uint8";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kFloat32:
      return "float32";
    case DType::kFloat64:
      return "float64";
  }
  throw DataError("name_of: not a DType");
}

std::string shape_string(std::span<const int64_t> shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const int64_t size : shape) {
    if (!text.empty()) text += " x ";
    text += std::to_string(size);
  }
  return text;
}

int64_t Array::numel() const {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

Array Array::zeros(std::vector<int64_t> shape, DType dtype) {
  Array array;
  array.bytes = Bytes(static_cast<size_t>(checked_bytes(shape, dtype, "Array::zeros")));
  array.shape = std::move(shape);
  array.dtype = dtype;
  return array;
}

void Array::require(DType wanted) const {
  if (dtype != wanted) {
    throw DataError("Array::as: expected " + std::string(name_of(wanted)) + "; the array holds " +
                    std::string(name_of(dtype)));
  }
}

int64_t checked_bytes(std::span<const int64_t> shape, DType dtype, std::string_view name) {
  int64_t product = static_cast<int64_t>(size_of(dtype));
  bool empty = false;
  bool overflow = false;
  for (const int64_t size : shape) {
    if (size < 0) {
      throw DataError(std::string(name) + ": shape " + shape_string(shape) +
                      " has a negative dimension");
    }
    // A zero elsewhere must not hide the overflow of the other dimensions.
    if (size == 0) {
      empty = true;
    } else {
      overflow = overflow || __builtin_mul_overflow(product, size, &product);
    }
  }
  if (overflow) {
    throw DataError(std::string(name) + ": shape " + shape_string(shape) + " of " +
                    std::string(name_of(dtype)) + " is larger than the address space");
  }
  return empty ? 0 : product;
}

}  // namespace elbo::data
