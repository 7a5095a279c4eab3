// Arrays and pictures, in the format that a file's name asks for.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "elbo/data/array.h"

namespace elbo::cli {

[[nodiscard]] bool is_picture(const std::string& path);  ///< .png

/// [N, K] as .npy, or .csv; ConfigError for another ending.
void write_array(const std::string& path, const at::Tensor& array);

/// Reads .npy or .csv (also .gz) as [N, K] in the dtype given.
[[nodiscard]] at::Tensor read_matrix(const std::string& path, const at::TensorOptions& options);

}  // namespace elbo::cli
