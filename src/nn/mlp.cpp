#include "elbo/nn/mlp.h"

#include <ATen/ATen.h>

#include "elbo/error.h"

namespace elbo::nn {

Mlp::Mlp(int64_t in, const std::vector<int64_t>& widths, Activation activation,
         const at::TensorOptions& options)
    : activation_(activation), out_(in) {
  for (const int64_t width : widths) {
    if (width < 1)
      throw ConfigError("Mlp: a hidden layer of width " + std::to_string(width) +
                        "; expected >= 1");
    const auto name = std::to_string(layers_.size());
    layers_.push_back(register_module(name, std::make_shared<Linear>(out_, width, options)));
    out_ = width;
  }
}

at::Tensor Mlp::forward(at::Tensor x) const {
  for (const auto& layer : layers_) x = layer->forward(x, activation_);
  return x;
}

}  // namespace elbo::nn
