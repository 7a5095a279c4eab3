#include "elbo/nn/linear.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <utility>

#include "elbo/error.h"

namespace elbo::nn {
namespace {
constexpr std::array<std::pair<const char*, Activation>, 5> kActivations = {{
    {"tanh", Activation::kTanh},
    {"relu", Activation::kRelu},
    {"softplus", Activation::kSoftplus},
    {"sigmoid", Activation::kSigmoid},
    {"identity", Activation::kIdentity},
}};
}  // namespace

Activation parse_activation(const std::string& name) {
  for (const auto& [known, activation] : kActivations)
    if (name == known) return activation;
  throw ConfigError("activation = '" + name +
                    "'; expected tanh, relu, softplus, sigmoid or identity");
}

std::string to_string(Activation activation) {
  for (const auto& [name, known] : kActivations)
    if (known == activation) return name;
  throw ConfigError("unknown activation");
}

namespace {
void check_columns(const at::Tensor& x, const at::Tensor& weight) {
  if (x.size(-1) != weight.size(1))
    throw ShapeError("linear: x has " + std::to_string(x.size(-1)) + " columns; expected " +
                     std::to_string(weight.size(1)));
}
}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  Activation activation) {
  check_columns(x, weight);
  return fused_linear(x, weight, bias, activation);
}

Linear::Linear(int64_t in, int64_t out, const at::TensorOptions& options)
    : weight(register_parameter("weight", at::zeros({out, in}, options))),
      bias(register_parameter("bias", at::zeros({out}, options))) {}

std::pair<at::Tensor, at::Tensor> linear_pair(const at::Tensor& x, const Linear& first,
                                              const Linear& second) {
  check_columns(x, first.weight);
  return fused_linear_pair(x, first.weight, first.bias, second.weight, second.bias);
}

Init parse_init(const std::string& name) {
  if (name == "aevb") return Init::kAevb;
  if (name == "xavier") return Init::kXavier;
  throw ConfigError("init = '" + name + "'; expected aevb or xavier");
}

void initialise(const NamedParameters& parameters, Init init, const Noise& noise) {
  const at::NoGradGuard no_grad;
  for (auto [name, w] : parameters) {
    const Noise stream = noise.site(name);
    if (init == Init::kAevb) {
      w.copy_(0.01 * stream.normal(w.sizes(), w.options()));
    } else if (w.dim() < 2) {
      w.zero_();
    } else {
      const double bound = std::sqrt(6.0 / static_cast<double>(w.size(0) + w.size(1)));
      w.copy_(bound * (2 * stream.uniform(w.sizes(), w.options()) - 1));
    }
  }
}

}  // namespace elbo::nn
