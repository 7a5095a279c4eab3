#include "elbo/data/tensor.h"

#include <ATen/ATen.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>

namespace elbo::data {
namespace {

constexpr std::array<std::pair<DType, at::ScalarType>, 5> kTypes = {{
    {DType::kUInt8, at::kByte},
    {DType::kInt32, at::kInt},
    {DType::kInt64, at::kLong},
    {DType::kFloat32, at::kFloat},
    {DType::kFloat64, at::kDouble},
}};

at::ScalarType scalar_type(DType dtype) {
  for (const auto& [ours, theirs] : kTypes)
    if (ours == dtype) return theirs;
  throw DataError("to_tensor: not a DType");
}

DType dtype_of_tensor(const at::Tensor& tensor) {
  for (const auto& [ours, theirs] : kTypes)
    if (theirs == tensor.scalar_type()) return ours;
  throw DataError(std::string("to_array: elements of type ") + at::toString(tensor.scalar_type()) +
                  "; expected uint8, int32, int64, float32 or float64");
}

}  // namespace

at::Tensor to_tensor(Array&& array) {
  const auto owner = std::make_shared<Array>(std::move(array));
  return at::from_blob(
      owner->bytes.data(), owner->shape, [owner](void*) {},
      at::TensorOptions().dtype(scalar_type(owner->dtype)));
}

Array to_array(const at::Tensor& tensor) {
  const auto t = tensor.detach().to(at::kCPU).contiguous();
  Array array = Array::zeros(t.sizes().vec(), dtype_of_tensor(t));
  if (!array.bytes.empty()) std::memcpy(array.bytes.data(), t.data_ptr(), array.bytes.size());
  return array;
}

}  // namespace elbo::data
