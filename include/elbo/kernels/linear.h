// A layer in one call forward and few backward: product, bias and activation.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace elbo {

/// Elementwise non-linearity of a layer.
enum class Activation { kTanh, kRelu, kSoftplus, kSigmoid, kIdentity };

[[nodiscard]] at::Tensor activate(const at::Tensor& x, Activation activation);

/// activation(x W^T + b). **Shapes** x [.., in], weight [out, in], bias [out]; gives [.., out].
///
/// In float32 on the CPU product, bias and activation are one oneDNN call. Backward, one pass takes
/// the gradient through the activation and sums the bias's; the gradients of weight and bias go
/// straight to their place where a GradientSink has one for them. Elsewhere, and where the gradient
/// is itself to be differentiated, `linear_twin` runs instead.
[[nodiscard]] at::Tensor fused_linear(const at::Tensor& x, const at::Tensor& weight,
                                      const at::Tensor& bias, Activation activation);

/// Two such layers of one input, without activation: one product where they are narrow and weights
/// and biases lie side by side, as those of one shape do that follow one another in FlatParameters.
[[nodiscard]] std::pair<at::Tensor, at::Tensor> fused_linear_pair(const at::Tensor& x,
                                                                  const at::Tensor& first_weight,
                                                                  const at::Tensor& first_bias,
                                                                  const at::Tensor& second_weight,
                                                                  const at::Tensor& second_bias);

/// `fused_linear` in plain ATen operations.
[[nodiscard]] at::Tensor linear_twin(const at::Tensor& x, const at::Tensor& weight,
                                     const at::Tensor& bias, Activation activation);

/// Whether layers can take their products in bfloat16 here.
[[nodiscard]] bool has_bfloat16_products();

/// While it lives, the fused layers of this thread round the operands of their products to bfloat16
/// and sum in float32, forward and in the backward pass of what was made meanwhile. Weights,
/// activations and gradients stay float32.
/// **Throws** ConfigError where `has_bfloat16_products` is false.
class Bfloat16Products {
 public:
  Bfloat16Products();
  /// Weights that lie in `values`, [P] in float32, are taken from `rounded`, [P], which holds them
  /// in bfloat16, if it is defined.
  Bfloat16Products(at::Tensor values, at::Tensor rounded);
  Bfloat16Products(const Bfloat16Products&) = delete;
  Bfloat16Products& operator=(const Bfloat16Products&) = delete;
  ~Bfloat16Products();

  /// The innermost that lives in this thread; null where none does.
  [[nodiscard]] static const Bfloat16Products* current();
  /// x as a product takes it, contiguous and in bfloat16.
  [[nodiscard]] at::Tensor round(const at::Tensor& x) const;

 private:
  at::Tensor values_, rounded_;
  const Bfloat16Products* outer_;
};

}  // namespace elbo
