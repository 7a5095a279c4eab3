// The backward pass of a fused formula when its gradient is itself to be differentiated.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

namespace elbo::detail {

/// The gradients of `twin` along the arguments of the bits of `wanted`, with a graph; undefined
/// for the others.
template <class Twin>
std::vector<at::Tensor> through_twin(const Twin& twin, const std::vector<at::Tensor>& arguments,
                                     const at::Tensor& incoming, unsigned wanted) {
  const at::Tensor y = twin(arguments.data());
  std::vector<at::Tensor> moving;
  for (size_t k = 0; k < arguments.size(); ++k)
    if ((wanted >> k & 1U) != 0) moving.push_back(arguments[k]);
  const auto found = torch::autograd::grad({y}, moving, {incoming.expand_as(y)}, true, true,
                                           /*allow_unused=*/true);
  std::vector<at::Tensor> out(arguments.size());
  for (size_t k = 0, i = 0; k < arguments.size(); ++k)
    if ((wanted >> k & 1U) != 0) out[k] = found[i++];
  return out;
}

/// Which of them want gradients, as bits.
inline unsigned wanted_of(const std::vector<at::Tensor>& arguments) {
  unsigned wanted = 0;
  for (size_t k = 0; k < arguments.size(); ++k)
    if (arguments[k].requires_grad()) wanted |= 1U << k;
  return wanted;
}

}  // namespace elbo::detail
