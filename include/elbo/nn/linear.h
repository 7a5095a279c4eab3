// Layers as stateless functions, with modules as their thin twins.
#pragma once

#include <torch/nn/module.h>

#include <string>

#include "elbo/kernels/noise.h"
#include "elbo/parameters.h"

namespace elbo::nn {

/// Elementwise non-linearity of a hidden layer.
enum class Activation { kTanh, kRelu, kSoftplus, kSigmoid, kIdentity };

/// "tanh", "relu", "softplus", "sigmoid" or "identity"; ConfigError otherwise.
[[nodiscard]] Activation parse_activation(const std::string& name);
[[nodiscard]] std::string to_string(Activation activation);
[[nodiscard]] at::Tensor activate(const at::Tensor& x, Activation activation);

/// x W^T + b. **Shapes** x [..., in], weight [out, in], bias [out]; gives [..., out].
[[nodiscard]] at::Tensor linear(const at::Tensor& x, const at::Tensor& weight,
                                const at::Tensor& bias);

/// Owns the weight and bias of `linear`; both start at 0 (see `initialise`).
class Linear : public torch::nn::Module {
 public:
  Linear(int64_t in, int64_t out, const at::TensorOptions& options);
  [[nodiscard]] at::Tensor forward(const at::Tensor& x) const { return linear(x, weight, bias); }

  at::Tensor weight, bias;
};

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
