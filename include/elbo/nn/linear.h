// Layers as stateless functions, with modules as their thin twins.
#pragma once

#include <torch/nn/module.h>

#include <string>
#include <utility>

#include "elbo/kernels/linear.h"
#include "elbo/kernels/noise.h"
#include "elbo/parameters.h"

namespace elbo::nn {

using elbo::activate;
using elbo::Activation;

/// "tanh", "relu", "softplus", "sigmoid" or "identity"; ConfigError otherwise.
[[nodiscard]] Activation parse_activation(const std::string& name);
[[nodiscard]] std::string to_string(Activation activation);

/// activation(x W^T + b). **Shapes** x [..., in], weight [out, in], bias [out]; gives [..., out].
/// **Throws** ShapeError where the columns of x are not `in`.
[[nodiscard]] at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                                const at::Tensor& bias,
                                Activation activation = Activation::kIdentity);

/// Owns the weight and bias of `linear`; both start at 0 (see `initialise`).
class Linear : public torch::nn::Module {
 public:
  Linear(int64_t in, int64_t out, const at::TensorOptions& options);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x,
                                   Activation activation = Activation::kIdentity) const {
    return linear(x, weight, bias, activation);
  }

  at::Tensor weight, bias;
};

/// Two layers of one input, of one shape: one product where their parameters lie side by side.
[[nodiscard]] std::pair<at::Tensor, at::Tensor> linear_pair(const at::Tensor& x,
                                                            const Linear& first,
                                                            const Linear& second);

/// How weights start.
enum class Init {
  kAevb,    ///< every weight and bias from N(0, 0.01^2): AEVB 5's N(0, 0.01), see docs/models.md
  kXavier,  ///< weights uniform on +-sqrt(6 / (in + out)), biases 0 (Glorot & Bengio 2010)
};

/// "aevb" or "xavier"; ConfigError otherwise.
[[nodiscard]] Init parse_init(const std::string& name);

/// Sets named parameters, each from the noise of its own name.
void initialise(const NamedParameters& parameters, Init init, const Noise& noise);

}  // namespace elbo::nn
