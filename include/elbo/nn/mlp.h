#pragma once

#include <memory>
#include <vector>

#include "elbo/nn/linear.h"

namespace elbo::nn {

/// Hidden layers of a multilayer perceptron (AEVB C), any depth: linear and activation, in turn.
/// **Shapes** [..., in] to [..., width of the last layer].
class Mlp : public torch::nn::Module {
 public:
  Mlp(int64_t in, const std::vector<int64_t>& widths, Activation activation,
      const at::TensorOptions& options);
  [[nodiscard]] at::Tensor forward(at::Tensor x) const;
  [[nodiscard]] int64_t out() const { return out_; }

 private:
  std::vector<std::shared_ptr<Linear>> layers_;
  Activation activation_;
  int64_t out_;
};

}  // namespace elbo::nn
