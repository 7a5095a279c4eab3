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

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kTanh:
      return x.tanh();
    case Activation::kRelu:
      return x.relu();
    case Activation::kSoftplus:
      return at::softplus(x);
    case Activation::kSigmoid:
      return x.sigmoid();
    case Activation::kIdentity:
      break;
  }
  return x;
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (x.size(-1) != weight.size(1))
    throw ShapeError("linear: x has " + std::to_string(x.size(-1)) + " columns; expected " +
                     std::to_string(weight.size(1)));
  // Two dimensions, so that the bias joins the product (addmm) whatever the leading ones.
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return at::addmm(bias, x.reshape({-1, x.size(-1)}), weight.t()).view(shape);
}

Linear::Linear(int64_t in, int64_t out, const at::TensorOptions& options)
    : weight(register_parameter("weight", at::zeros({out, in}, options))),
      bias(register_parameter("bias", at::zeros({out}, options))) {}

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
