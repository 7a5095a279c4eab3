#include "elbo/nn/labelled_linear.h"

#include <ATen/ATen.h>

namespace elbo::nn {

LabelledLinear::LabelledLinear(int64_t in, int64_t labels, int64_t out,
                               const at::TensorOptions& options)
    : weight(register_parameter("weight", at::zeros({out, in}, options))),
      bias(register_parameter("bias", at::zeros({out}, options))),
      label_weight(register_parameter("label_weight", at::zeros({labels, out}, options))) {}

at::Tensor LabelledLinear::forward(const at::Tensor& x, const at::Tensor& y,
                                   Activation activation) const {
  auto shape = y.sizes().vec();
  shape.push_back(label_weight.size(1));
  const auto of_label = label_weight.index_select(0, y.flatten()).view(shape);
  return activate(linear(x, weight, bias) + of_label, activation);
}

}  // namespace elbo::nn
