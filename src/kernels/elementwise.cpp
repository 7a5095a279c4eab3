#include "elbo/kernels/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <ATen/TensorIterator.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "elbo/error.h"
#include "kernels/detail/blocks.h"
#include "kernels/detail/recording.h"
#include "kernels/detail/sum_to.h"
#include "kernels/detail/through_twin.h"

namespace elbo {
namespace {

using torch::autograd::variable_list;

constexpr int64_t kGrain = 4096;  // a formula costs some 10 ns an element
constexpr int64_t kBlock = blocks::kSize;
constexpr int kMaxOperands = 2 * Formula::kMaxArity + 1;

template <class T>
void load_strided(const char* from, int64_t stride, int64_t count, double* to) {
  for (int64_t i = 0; i < count; ++i)
    to[i] = static_cast<double>(*reinterpret_cast<const T*>(from + i * stride));
}
template <class T>
void store_strided(const double* from, char* to, int64_t stride, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    *reinterpret_cast<T*>(to + i * stride) = static_cast<T>(from[i]);
}

/// Where one block of an operand lies in float64: in place if it does, else in `room`, in which the
/// last value fills it up to a multiple of eight.
const double* load_block(const at::TensorIterator& iterator, int operand, char** data,
                         const int64_t* strides, int64_t first, int64_t count, double* room) {
  const int64_t stride = strides[operand];
  const char* from = data[operand] + first * stride;
  const bool is_double = iterator.dtype(operand) == at::kDouble;
  if (is_double && stride == sizeof(double) && count % Formula::kWidest == 0)
    return reinterpret_cast<const double*>(from);
  if (!is_double && stride == sizeof(float))
    blocks::convert(reinterpret_cast<const float*>(from), room, count);
  else if (is_double)
    load_strided<double>(from, stride, count, room);
  else
    load_strided<float>(from, stride, count, room);
  blocks::pad(room, count);
  return room;
}

void store_block(const at::TensorIterator& iterator, int operand, char** data,
                 const int64_t* strides, int64_t first, int64_t count, const double* from) {
  const int64_t stride = strides[operand];
  char* to = data[operand] + first * stride;
  if (iterator.dtype(operand) == at::kDouble)
    store_strided<double>(from, to, stride, count);
  else if (stride == sizeof(float))
    blocks::convert(from, reinterpret_cast<float*>(to), count);
  else
    store_strided<float>(from, to, stride, count);
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
  if (formula.is_first) {
    auto shape = arguments[0].sizes().vec();
    for (const auto& a : arguments) shape = at::infer_size(shape, a.sizes());
    if (arguments[0].sizes() == shape) return arguments[0].alias();
  }
  const auto shared = std::make_shared<at::TensorIterator>(make_iterator(1, arguments));
  detail::recording::run([shared, &formula] {
    auto& iterator = *shared;
    const Bounds held = bounds(formula.inside, iterator.dtype(0) == at::kDouble);
    iterator.for_each(
        [&](char** data, const int64_t* strides, int64_t n) {
          alignas(64) double block[Formula::kMaxArity + 1][kBlock];
          const double* in[Formula::kMaxArity];
          for (int64_t i = 0; i < n; i += kBlock) {
            const int64_t count = std::min(kBlock, n - i);
            for (int k = 0; k < formula.arity; ++k)
              in[k] = load_block(iterator, k + 1, data, strides, i, count, block[k + 1]);
            formula.values(in, block[0], blocks::padded(count));
            if (formula.inside != Inside::kAnywhere)
              blocks::clamp(block[0], held.lower, held.upper, count);
            store_block(iterator, 0, data, strides, i, count, block[0]);
          }
        },
        kGrain);
  });
  return shared->output();
}

/// d formula / d argument times `gradient`, for the arguments wanted.
variable_list gradients(const Formula& formula, const variable_list& arguments,
                        const at::Tensor& gradient, unsigned wanted) {
  const int outputs = __builtin_popcount(wanted);
  variable_list inputs = arguments;
  inputs.push_back(gradient);
  const auto shared = std::make_shared<at::TensorIterator>(make_iterator(outputs, inputs));
  detail::recording::run([shared, &formula, outputs, wanted] {
    auto& iterator = *shared;
    iterator.for_each(
        [&](char** data, const int64_t* strides, int64_t n) {
          alignas(64) double block[kMaxOperands][kBlock];
          const double* in[Formula::kMaxArity];
          double* out[Formula::kMaxArity];
          for (int k = 0; k < outputs; ++k) out[k] = block[k];
          const int last = outputs + formula.arity;
          for (int64_t i = 0; i < n; i += kBlock) {
            const int64_t count = std::min(kBlock, n - i);
            for (int k = 0; k < formula.arity; ++k)
              in[k] =
                  load_block(iterator, outputs + k, data, strides, i, count, block[outputs + k]);
            const double* incoming =
                load_block(iterator, last, data, strides, i, count, block[last]);
            formula.partials(in, out, blocks::padded(count), wanted);
            for (int k = 0; k < outputs; ++k) {
              blocks::scale(block[k], incoming, count);
              store_block(iterator, k, data, strides, i, count, block[k]);
            }
          }
        },
        kGrain);
  });
  variable_list out(arguments.size());
  for (size_t k = 0, i = 0; k < arguments.size(); ++k)
    if ((wanted >> k & 1U) != 0)
      out[k] = detail::sum_to(shared->output(static_cast<int64_t>(i++)), arguments[k].sizes());
  return out;
}

using Apply = detail::FormulaFunction<Formula, &values, &gradients>;

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
