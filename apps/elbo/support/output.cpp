#include "support/output.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "elbo/data/npy.h"
#include "elbo/data/read.h"
#include "elbo/io/atomic_file.h"

namespace elbo::cli {
namespace {

std::string ending(const std::string& path) {
  return std::filesystem::path(path).extension().string();
}

data::Array to_array(const at::Tensor& tensor) {
  const auto t = tensor.detach().contiguous();
  data::Array array;
  array.shape = t.sizes().vec();
  array.dtype = t.scalar_type() == at::kDouble ? data::DType::kFloat64
                : t.scalar_type() == at::kLong ? data::DType::kInt64
                : t.scalar_type() == at::kByte ? data::DType::kUInt8
                                               : data::DType::kFloat32;
  array.bytes.resize(t.nbytes());
  std::memcpy(array.bytes.data(), t.data_ptr(), t.nbytes());
  return array;
}

}  // namespace

bool is_picture(const std::string& path) { return ending(path) == ".png"; }

void write_array(const std::string& path, const at::Tensor& array) {
  if (ending(path) == ".npy") {
    io::write_file(path, data::encode_npy(to_array(array)));
    return;
  }
  if (ending(path) != ".csv")
    throw ConfigError("--out " + path + ": expected a name ending in .npy or .csv");
  const auto rows = array.detach().to(at::kDouble).reshape({array.size(0), -1}).contiguous();
  const double* x = rows.data_ptr<double>();
  std::string text;
  for (int64_t i = 0; i < rows.size(0); ++i)
    for (int64_t j = 0; j < rows.size(1); ++j)
      text += fmt::format("{}{}", *x++, j + 1 == rows.size(1) ? "\n" : ",");
  io::write_file(path, text);
}

at::Tensor read_matrix(const std::string& path, const at::TensorOptions& options) {
  const auto array = data::read_array(path);
  const at::ScalarType type = array.dtype == data::DType::kUInt8     ? at::kByte
                              : array.dtype == data::DType::kInt32   ? at::kInt
                              : array.dtype == data::DType::kInt64   ? at::kLong
                              : array.dtype == data::DType::kFloat32 ? at::kFloat
                                                                     : at::kDouble;
  auto tensor = at::empty(array.shape, at::TensorOptions().dtype(type));
  if (!array.bytes.empty()) std::memcpy(tensor.data_ptr(), array.bytes.data(), array.bytes.size());
  if (tensor.dim() != 2)
    throw DataError(fmt::format("{}: {} dimensions; expected a matrix", path, tensor.dim()));
  tensor = tensor.to(options);
  if (!tensor.isfinite().all().item<bool>())
    throw DataError(path + ": holds values that are missing or not finite");
  return tensor;
}

}  // namespace elbo::cli
