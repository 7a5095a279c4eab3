// Parameters by name.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace elbo {

/// Leaves of the graph that learning moves, in a fixed order.
using NamedParameters = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace elbo
