#include "elbo/kernels/log_sum_exp.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/WrapDimUtils.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "elbo/kernels/math.h"
#include "kernels/detail/recording.h"
#include "kernels/detail/share.h"
#include "kernels/detail/simd.h"
#include "kernels/detail/team.h"
#include "kernels/detail/through_twin.h"

namespace elbo {
namespace {

using math::Pack;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kColumns = 64;  // a block of them, times K, stays in the second cache

/// One table [K, columns], the rows `stride` apart; `weights` may be null.
template <class T>
struct Table {
  const T* x;
  T *sum, *weights;
  int64_t k, stride;
  double offset;  // to subtract from each sum
};

/// In float64 whatever T is.
template <class T>
struct Columns {
  static void run(const Table<T>& t, int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kColumns)
      block(t, first, std::min(kColumns, end - first));
  }

  ELBO_INLINE static void block(const Table<T>& t, int64_t first, int64_t count) {
    constexpr int64_t kLanes = Pack::kLanes;
    alignas(64) double largest[kColumns], sum[kColumns], term[kColumns];
    std::fill(largest, largest + kColumns, -kInfinity);
    for (int64_t k = 0; k < t.k; ++k) {
      const T* x = t.x + k * t.stride + first;
      for (int64_t c = 0; c < count; ++c) {
        const double each = x[c];
        largest[c] = each > largest[c] ? each : largest[c];
      }
    }
    for (int64_t c = 0; c < kColumns; ++c)  // a column that is all -inf, or has +inf, is no sum
      largest[c] = largest[c] > -kInfinity && largest[c] < kInfinity ? largest[c] : 0;
    std::fill(sum, sum + kColumns, 0.0);
    for (int64_t k = 0; k < t.k; ++k) {
      const T* x = t.x + k * t.stride + first;
      for (int64_t c = 0; c < kColumns; ++c) term[c] = c < count ? x[c] - largest[c] : 0;
      for (int64_t c = 0; c < kColumns; c += kLanes) {
        const Pack e = math::exp(Pack(*reinterpret_cast<const Pack::Lanes*>(term + c)));
        *reinterpret_cast<Pack::Lanes*>(term + c) = e.v;
        *reinterpret_cast<Pack::Lanes*>(sum + c) += e.v;
      }
      if (t.weights == nullptr) continue;
      T* w = t.weights + k * t.stride + first;
      for (int64_t c = 0; c < count; ++c) w[c] = static_cast<T>(term[c]);
    }
    for (int64_t c = 0; c < count; ++c)
      t.sum[first + c] = static_cast<T>(largest[c] + (std::log(sum[c]) - t.offset));
    if (t.weights == nullptr) return;
    for (int64_t c = 0; c < kColumns; ++c) sum[c] = sum[c] == 0 ? 0 : 1 / sum[c];
    for (int64_t k = 0; k < t.k; ++k) {
      T* w = t.weights + k * t.stride + first;
      for (int64_t c = 0; c < count; ++c) w[c] = static_cast<T>(w[c] * sum[c]);
    }
  }
};

/// f(table, width, begin, end) for parts of the columns of each table [K, width]: the dimensions
/// before `dim` tell tables, those after it columns.
template <class F>
void for_columns(const at::Tensor& x, int64_t dim, const F& f) {
  int64_t outer = 1, inner = 1;
  for (int64_t i = 0; i < dim; ++i) outer *= x.size(i);
  for (int64_t i = dim + 1; i < x.dim(); ++i) inner *= x.size(i);
  const int64_t blocks = (inner + kColumns - 1) / kColumns;
  for (int64_t o = 0; o < outer; ++o)
    detail::parallel_for(0, blocks, 1 + detail::kPassGrain / (x.size(dim) * kColumns),
                         [&](int64_t begin, int64_t end) {
                           f(o, inner, begin * kColumns, std::min(end * kColumns, inner));
                         });
}

std::vector<int64_t> reduced_shape(const at::Tensor& x, int64_t dim) {
  auto shape = x.sizes().vec();
  shape[static_cast<size_t>(dim)] = 1;
  return shape;
}

struct Sums {
  at::Tensor sum, weights;  ///< the latter undefined where they are not wanted
};

/// x contiguous: the sum less `offset`.
template <class T>
Sums in_one_pass(const at::Tensor& x, int64_t dim, double offset, bool with_weights) {
  const auto options = x.options().requires_grad(false);
  const Sums out{.sum = at::empty(reduced_shape(x, dim), options),
                 .weights = with_weights ? at::empty_like(x, options) : at::Tensor()};
  static const auto run =
      simd::Compiled<Columns<T>>::template for_machine<const Table<T>&, int64_t, int64_t>();
  detail::recording::run([x = x.detach(), out, dim, offset] {
    for_columns(x, dim, [&](int64_t outer, int64_t inner, int64_t begin, int64_t end) {
      const int64_t k = x.size(dim), table = outer * k * inner;
      run({.x = x.data_ptr<T>() + table,
           .sum = out.sum.data_ptr<T>() + outer * inner,
           .weights = out.weights.defined() ? out.weights.data_ptr<T>() + table : nullptr,
           .k = k,
           .stride = inner,
           .offset = offset},
          begin, end);
    });
  });
  return out;
}
Sums in_one_pass(const at::Tensor& x, int64_t dim, double offset, bool with_weights) {
  return AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "log_sum_exp", [&] {
    return in_one_pass<scalar_t>(x, dim, offset, with_weights);
  });
}

/// The weights, each times the gradient of its sum.
template <class T>
at::Tensor scaled(const at::Tensor& weights, const at::Tensor& gradient, int64_t dim) {
  const auto out = at::empty_like(weights);
  detail::recording::run([weights, g = gradient.contiguous(), out, dim] {
    for_columns(out, dim, [&](int64_t outer, int64_t inner, int64_t begin, int64_t end) {
      const T* by = g.data_ptr<T>() + outer * inner;
      for (int64_t k = 0; k < out.size(dim); ++k) {
        const int64_t row = (outer * out.size(dim) + k) * inner;
        const T* __restrict from = weights.data_ptr<T>() + row;
        T* __restrict to = out.data_ptr<T>() + row;
        for (int64_t c = begin; c < end; ++c) to[c] = from[c] * by[c];
      }
    });
  });
  return out;
}

struct WithWeights : torch::autograd::Function<WithWeights> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t dim,
                            double offset) {
    const detail::BelowAutograd below;
    const Sums found = in_one_pass(x, dim, offset, /*with_weights=*/true);
    context->save_for_backward({x, found.weights});
    context->saved_data["dim"] = dim;
    return found.sum;
  }
  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const int64_t dim = context->saved_data["dim"].toInt();
    const auto saved = context->get_saved_variables();
    if (at::GradMode::is_enabled()) {  // the offset is constant, so that log_sum_exp's twin serves
      const auto twin = [dim](const at::Tensor* a) { return plain::log_sum_exp(a[0], dim); };
      return {detail::through_twin(twin, {saved[0]}, incoming[0], 1)[0], {}, {}};
    }
    const detail::BelowAutograd below;
    const auto& weights = saved[1];
    return {AT_DISPATCH_FLOATING_TYPES(weights.scalar_type(), "log_sum_exp",
                                       [&] { return scaled<scalar_t>(weights, incoming[0], dim); }),
            {},
            {}};
  }
};

/// log_sum_exp less `offset`; dim at least 0.
at::Tensor log_sum_exp_minus(const at::Tensor& given, int64_t dim, double offset) {
  const bool is_fused = given.is_cpu() && given.numel() > 0 &&
                        (given.scalar_type() == at::kDouble || given.scalar_type() == at::kFloat);
  if (!is_fused) return plain::log_sum_exp(given, dim) - offset;
  if (dim > 0 && dim + 1 == given.dim())  // what lies behind it fills the lanes
    return log_sum_exp_minus(given.transpose(dim - 1, dim), dim - 1, offset)
        .transpose(dim - 1, dim);
  const auto x = given.contiguous();
  if (!detail::wants_graph({x})) return in_one_pass(x, dim, offset, /*with_weights=*/false).sum;
  return WithWeights::apply(x, dim, offset);
}

}  // namespace

at::Tensor plain::log_sum_exp(const at::Tensor& x, int64_t dim) {
  const auto impossible = x.detach().eq(-kInfinity).all(dim, /*keepdim=*/true);
  return x.masked_fill(impossible, 0).logsumexp(dim, true).masked_fill(impossible, -kInfinity);
}

at::Tensor log_sum_exp(const at::Tensor& x, int64_t dim) {
  return log_sum_exp_minus(x, at::maybe_wrap_dim(dim, x.dim()), 0);
}

at::Tensor log_mean_exp(const at::Tensor& x, int64_t dim) {
  return log_sum_exp_minus(x, at::maybe_wrap_dim(dim, x.dim()),
                           std::log(static_cast<double>(x.size(dim))));
}

}  // namespace elbo
