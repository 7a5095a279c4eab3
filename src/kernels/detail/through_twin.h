// Fused formulas in autograd, and their backward pass when the gradient is itself to be
// differentiated.
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace elbo::detail {

/// While it lives, tensor operations skip autograd's layers: for the inside of a node, where the
/// many small ones are told apart by how far they must be dispatched.
using BelowAutograd = at::AutoDispatchBelowADInplaceOrView;

/// Whether what is made of the arguments will be differentiated.
inline bool wants_graph(at::TensorList arguments) {
  return at::GradMode::is_enabled() &&
         std::any_of(arguments.begin(), arguments.end(),
                     [](const at::Tensor& a) { return a.requires_grad(); });
}

/// Of two tensors alike, elementwise.
inline at::Tensor product_of(const at::Tensor& a, const at::Tensor& b) {
  auto out = at::empty_like(a);  // a plan that is replayed writes to it without a copy
  return at::mul_out(out, a, b);
}

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

/// Which of the node's first tensors, `arguments` of its forward, this backward pass wants the
/// gradients of, as bits: not those of weights when only the gradient of an input is asked for.
inline unsigned wanted_of(const torch::autograd::AutogradContext& context,
                          const std::vector<at::Tensor>& arguments) {
  unsigned wanted = 0;
  for (size_t k = 0; k < arguments.size(); ++k)
    if (arguments[k].requires_grad() && context.needs_input_grad(k)) wanted |= 1U << k;
  return wanted;
}

/// A formula F with a twin as a node of the graph, which keeps nothing but the arguments:
/// `kValues(formula, arguments)` forward, `kGradients(formula, arguments, incoming, wanted)`
/// backward, which is undefined where a gradient is not wanted.
template <class F, auto kValues, auto kGradients>
struct FormulaFunction : torch::autograd::Function<FormulaFunction<F, kValues, kGradients>> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const F* formula,
                            at::TensorList arguments) {
    const std::vector<at::Tensor> saved = arguments.vec();
    context->save_for_backward(saved);
    context->saved_data["formula"] = reinterpret_cast<int64_t>(formula);
    return kValues(*formula, saved);
  }
  static std::vector<at::Tensor> backward(torch::autograd::AutogradContext* context,
                                          const std::vector<at::Tensor>& incoming) {
    const auto& formula = *reinterpret_cast<const F*>(context->saved_data["formula"].toInt());
    const auto arguments = context->get_saved_variables();
    const unsigned wanted = wanted_of(*context, arguments);
    auto found = at::GradMode::is_enabled()
                     ? through_twin(formula.twin, arguments, incoming[0], wanted)
                     : kGradients(formula, arguments, incoming[0], wanted);
    found.insert(found.begin(), at::Tensor());  // the formula itself has none
    return found;
  }
};

}  // namespace elbo::detail
