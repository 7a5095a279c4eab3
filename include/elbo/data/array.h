// A plain n-dimensional array: what every reader returns. No libtorch here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "elbo/data/bytes.h"
#include "elbo/error.h"

namespace elbo::data {

enum class DType { kUInt8, kInt32, kInt64, kFloat32, kFloat64 };

/// Bytes of one element.
[[nodiscard]] size_t size_of(DType dtype);

/// "uint8", "int32", "int64", "float32" or "float64".
[[nodiscard]] std::string_view name_of(DType dtype);

/// "60000 x 28 x 28"; "scalar" for no dimensions.
[[nodiscard]] std::string shape_string(std::span<const int64_t> shape);

/// The DType of a C++ element type.
template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, uint8_t>) {
    return DType::kUInt8;
  } else if constexpr (std::is_same_v<T, int32_t>) {
    return DType::kInt32;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return DType::kInt64;
  } else if constexpr (std::is_same_v<T, float>) {
    return DType::kFloat32;
  } else {
    static_assert(std::is_same_v<T, double>, "Array holds uint8, int32, int64, float32, float64");
    return DType::kFloat64;
  }
}

/// Elements in row-major (C) order, in the machine's byte order.
struct Array {
  std::vector<int64_t> shape;
  DType dtype = DType::kUInt8;
  Bytes bytes;

  /// Product of the shape; 1 for no dimensions.
  [[nodiscard]] int64_t numel() const;
  [[nodiscard]] size_t item_size() const { return size_of(dtype); }

  /// The elements. **Throws** DataError when T is not the stored type.
  template <class T>
  [[nodiscard]] const T* as() const {
    require(dtype_of<T>());
    return reinterpret_cast<const T*>(bytes.data());
  }
  template <class T>
  [[nodiscard]] T* as() {
    require(dtype_of<T>());
    return reinterpret_cast<T*>(bytes.data());
  }

  /// An array of zeros. **Throws** DataError for a negative or overflowing shape.
  [[nodiscard]] static Array zeros(std::vector<int64_t> shape, DType dtype);

 private:
  void require(DType wanted) const;
};

/// Bytes that `shape` elements of `dtype` take. **Throws** DataError, beginning with `name`, when a
/// dimension is negative or the product overflows int64.
[[nodiscard]] int64_t checked_bytes(std::span<const int64_t> shape, DType dtype,
                                    std::string_view name);

}  // namespace elbo::data
