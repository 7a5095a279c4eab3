#include "support/output.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <filesystem>

#include "elbo/data/npy.h"
#include "elbo/data/read.h"
#include "elbo/data/tensor.h"
#include "elbo/io/atomic_file.h"

namespace elbo::cli {
namespace {

std::string ending(const std::string& path) {
  return std::filesystem::path(path).extension().string();
}

}  // namespace

bool is_picture(const std::string& path) { return ending(path) == ".png"; }

void write_array(const std::string& path, const at::Tensor& array) {
  if (ending(path) == ".npy") {
    io::write_file(path, data::encode_npy(data::to_array(array)));
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
  auto tensor = data::to_tensor(data::read_array(path));
  if (tensor.dim() != 2)
    throw DataError(fmt::format("{}: {} dimensions; expected a matrix", path, tensor.dim()));
  tensor = tensor.to(options);
  if (!tensor.isfinite().all().item<bool>())
    throw DataError(path + ": holds values that are missing or not finite");
  return tensor;
}

}  // namespace elbo::cli
