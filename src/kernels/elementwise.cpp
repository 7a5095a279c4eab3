#include "elbo/kernels/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <ATen/TensorIterator.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "elbo/error.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrain = 4096;  // a formula costs some 10 ns an element
constexpr int64_t kBlock = 64;    // elements that stay in the first cache between the steps
constexpr int kMaxOperands = 2 * Formula::kMaxArity + 1;

template <class T>
void load(const char* from, int64_t stride, int64_t count, double* to) {
  if (stride == sizeof(T)) {
    const auto* x = reinterpret_cast<const T*>(from);
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<double>(x[i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    to[i] = static_cast<double>(*reinterpret_cast<const T*>(from + i * stride));
}

template <class T>
void store(const double* from, char* to, int64_t stride, int64_t count) {
  if (stride == sizeof(T)) {
    auto* x = reinterpret_cast<T*>(to);
    for (int64_t i = 0; i < count; ++i) x[i] = static_cast<T>(from[i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    *reinterpret_cast<T*>(to + i * stride) = static_cast<T>(from[i]);
}

/// One block of an operand in float64; the last value fills it up to a multiple of four.
void load_block(const at::TensorIterator& iterator, int operand, char** data,
                const int64_t* strides, int64_t first, int64_t count, double* to) {
  const char* from = data[operand] + first * strides[operand];
  if (iterator.dtype(operand) == at::kDouble)
    load<double>(from, strides[operand], count, to);
  else
    load<float>(from, strides[operand], count, to);
  for (int64_t i = count; i % math::Pack::kLanes != 0; ++i) to[i] = to[count - 1];
}

void store_block(const at::TensorIterator& iterator, int operand, char** data,
                 const int64_t* strides, int64_t first, int64_t count, const double* from) {
  char* to = data[operand] + first * strides[operand];
  if (iterator.dtype(operand) == at::kDouble)
    store<double>(from, to, strides[operand], count);
  else
    store<float>(from, to, strides[operand], count);
}

int64_t padded(int64_t count) {
  return (count + math::Pack::kLanes - 1) / math::Pack::kLanes * math::Pack::kLanes;
}

at::TensorIterator make_iterator(int outputs, const variable_list& inputs) {
  at::TensorIteratorConfig config;
  for (int i = 0; i < outputs; ++i) config.add_owned_output(at::Tensor());
  for (const auto& x : inputs) config.add_owned_input(x);
  config.set_check_mem_overlap(false).check_all_same_dtype(false);
  config.declare_static_dtype(inputs.back().scalar_type());  // the first may be noise
  return config.build();
}

at::Tensor values(const Formula& formula, const variable_list& arguments) {
  auto iterator = make_iterator(1, arguments);
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t n) {
        alignas(64) double block[Formula::kMaxArity + 1][kBlock];
        const double* in[Formula::kMaxArity];
        for (int k = 0; k < formula.arity; ++k) in[k] = block[k + 1];
        for (int64_t i = 0; i < n; i += kBlock) {
          const int64_t count = std::min(kBlock, n - i);
          for (int k = 1; k <= formula.arity; ++k)
            load_block(iterator, k, data, strides, i, count, block[k]);
          formula.values(in, block[0], padded(count));
          store_block(iterator, 0, data, strides, i, count, block[0]);
        }
      },
      kGrain);
  return iterator.output();
}

/// d formula / d argument times `gradient`, of the broadcast shape, for the arguments wanted.
std::vector<at::Tensor> gradients(const Formula& formula, const variable_list& arguments,
                                  const at::Tensor& gradient, unsigned wanted) {
  const int outputs = __builtin_popcount(wanted);
  variable_list inputs = arguments;
  inputs.push_back(gradient);
  auto iterator = make_iterator(outputs, inputs);
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t n) {
        alignas(64) double block[kMaxOperands][kBlock];
        const double* in[Formula::kMaxArity];
        double* out[Formula::kMaxArity];
        for (int k = 0; k < outputs; ++k) out[k] = block[k];
        for (int k = 0; k < formula.arity; ++k) in[k] = block[outputs + k];
        const int last = outputs + formula.arity;
        for (int64_t i = 0; i < n; i += kBlock) {
          const int64_t count = std::min(kBlock, n - i);
          for (int k = outputs; k <= last; ++k)
            load_block(iterator, k, data, strides, i, count, block[k]);
          formula.partials(in, out, padded(count), wanted);
          for (int k = 0; k < outputs; ++k) {
            for (int64_t e = 0; e < count; ++e) block[k][e] *= block[last][e];
            store_block(iterator, k, data, strides, i, count, block[k]);
          }
        }
      },
      kGrain);
  std::vector<at::Tensor> out;
  for (int i = 0; i < outputs; ++i) out.push_back(iterator.output(i));
  return out;
}

struct Apply : torch::autograd::Function<Apply> {
  static at::Tensor forward(AutogradContext* context, const Formula* formula,
                            at::TensorList arguments) {
    const variable_list saved = arguments.vec();
    context->save_for_backward(saved);
    context->saved_data["formula"] = reinterpret_cast<int64_t>(formula);
    return values(*formula, saved);
  }

  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto& formula = *reinterpret_cast<const Formula*>(context->saved_data["formula"].toInt());
    const auto arguments = context->get_saved_variables();
    unsigned wanted = 0;
    for (size_t k = 0; k < arguments.size(); ++k)
      if (arguments[k].requires_grad()) wanted |= 1u << k;
    variable_list out(arguments.size() + 1);  // the formula itself has none
    if (at::GradMode::is_enabled()) {         // derivatives of this derivative will be asked for
      const auto y = formula.twin(arguments.data());
      variable_list moving;
      for (size_t k = 0; k < arguments.size(); ++k)
        if ((wanted >> k & 1u) != 0) moving.push_back(arguments[k]);
      const auto found = torch::autograd::grad({y}, moving, {incoming[0].expand_as(y)}, true, true,
                                               /*allow_unused=*/true);
      for (size_t k = 0, i = 0; k < arguments.size(); ++k)
        if ((wanted >> k & 1u) != 0) out[k + 1] = found[i++];
      return out;
    }
    const auto found = gradients(formula, arguments, incoming[0], wanted);
    for (size_t k = 0, i = 0; k < arguments.size(); ++k)
      if ((wanted >> k & 1u) != 0) out[k + 1] = at::sum_to(found[i++], arguments[k].sizes());
    return out;
  }
};

}  // namespace

at::Tensor evaluate(const Formula& formula, at::TensorList arguments) {
  TORCH_INTERNAL_ASSERT(static_cast<int>(arguments.size()) == formula.arity);
  bool differentiable = false;
  for (const auto& a : arguments) {
    if (!a.is_cpu()) return formula.twin(arguments.data());
    differentiable = differentiable || a.requires_grad();
  }
  if (differentiable && at::GradMode::is_enabled()) return Apply::apply(&formula, arguments);
  return values(formula, arguments.vec());
}

}  // namespace elbo
