// Arithmetic of ATen's that a plan does itself.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/operator_name.h>

#include <optional>
#include <vector>

#include "kernels/detail/share.h"

namespace elbo::detail {

/// A sum, difference, product or negation of float32 tensors of one shape, as autograd makes them:
/// where they are small, reaching ATen's loop takes longer than running it.
class Arithmetic {
 public:
  /// The operation of this name, from these inputs into these results, none of them in autograd's
  /// graph; nothing where it is another, or not of such tensors.
  static std::optional<Arithmetic> of(const c10::OperatorName& name,
                                      const std::vector<c10::IValue>& inputs,
                                      const std::vector<at::Tensor>& results);
  void operator()(uint64_t step) const;

  struct Rows {
    const float *a, *b;  ///< b is a where the operation takes one argument
    float* out;
    int64_t a_stride, b_stride, out_stride;  ///< from row to row
  };

 private:
  using Run = void (*)(const Rows&, const Block&);
  Arithmetic(Run run, at::Tensor a, at::Tensor b, at::Tensor out);

  Run run_;
  at::Tensor a_, b_, out_;
};

}  // namespace elbo::detail
