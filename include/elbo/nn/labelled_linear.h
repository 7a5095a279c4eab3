// A layer over a vector and a label, without putting them beside each other.
#pragma once

#include "elbo/nn/linear.h"

namespace elbo::nn {

/// activation(W x + w_y + b): the layer over [x, one-hot(y)], of which w_y is the label's column.
/// W x is computed once for each x, however many labels it is put with.
class LabelledLinear : public torch::nn::Module {
 public:
  LabelledLinear(int64_t in, int64_t labels, int64_t out, const at::TensorOptions& options);

  /// **Shapes** x [.., in] and y int64 [..], whose leading dimensions broadcast; gives [.., out].
  [[nodiscard]] at::Tensor forward(const at::Tensor& x, const at::Tensor& y,
                                   Activation activation = Activation::kIdentity) const;

  at::Tensor weight, bias;
  at::Tensor label_weight;  ///< [labels, out]
};

}  // namespace elbo::nn
