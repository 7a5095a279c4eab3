#include "elbo/kernels/log_sum_exp.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>

#include "elbo/kernels/math.h"
#include "kernels/detail/recording.h"
#include "kernels/detail/simd.h"
#include "kernels/detail/team.h"

namespace elbo {
namespace {

using math::Pack;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kColumns = 64;  // a block of them, times K, stays in the second cache

/// One table [K, columns], the rows `stride` apart; `weights` may be null.
struct Table {
  const double* x;
  double *sum, *weights;
  int64_t k, stride;
};

struct Columns {
  static void run(const Table& t, int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kColumns)
      block(t, first, std::min(kColumns, end - first));
  }

  ELBO_INLINE static void block(const Table& t, int64_t first, int64_t count) {
    constexpr int64_t kLanes = Pack::kLanes;
    alignas(64) double largest[kColumns], sum[kColumns], term[kColumns];
    std::fill(largest, largest + kColumns, -kInfinity);
    for (int64_t k = 0; k < t.k; ++k) {
      const double* x = t.x + k * t.stride + first;
      for (int64_t c = 0; c < count; ++c) largest[c] = x[c] > largest[c] ? x[c] : largest[c];
    }
    for (int64_t c = 0; c < kColumns; ++c)  // a column that is all -inf, or has +inf, is no sum
      largest[c] = largest[c] > -kInfinity && largest[c] < kInfinity ? largest[c] : 0;
    std::fill(sum, sum + kColumns, 0.0);
    for (int64_t k = 0; k < t.k; ++k) {
      const double* x = t.x + k * t.stride + first;
      for (int64_t c = 0; c < kColumns; ++c) term[c] = c < count ? x[c] - largest[c] : 0;
      for (int64_t c = 0; c < kColumns; c += kLanes) {
        const Pack e = math::exp(Pack(*reinterpret_cast<const Pack::Lanes*>(term + c)));
        *reinterpret_cast<Pack::Lanes*>(term + c) = e.v;
        *reinterpret_cast<Pack::Lanes*>(sum + c) += e.v;
      }
      if (t.weights != nullptr) std::copy(term, term + count, t.weights + k * t.stride + first);
    }
    for (int64_t c = 0; c < count; ++c) t.sum[first + c] = largest[c] + std::log(sum[c]);
    if (t.weights == nullptr) return;
    for (int64_t c = 0; c < kColumns; ++c) sum[c] = sum[c] > 0 ? 1 / sum[c] : 0;
    for (int64_t k = 0; k < t.k; ++k) {
      double* w = t.weights + k * t.stride + first;
      for (int64_t c = 0; c < count; ++c) w[c] *= sum[c];
    }
  }
};

/// x contiguous: the sum, and the weights where they are wanted.
at::Tensor in_one_pass(const at::Tensor& x, int64_t dim, at::Tensor* weights) {
  auto shape = x.sizes().vec();
  int64_t outer = 1, inner = 1;
  for (int64_t i = 0; i < dim; ++i) outer *= shape[static_cast<size_t>(i)];
  for (int64_t i = dim + 1; i < x.dim(); ++i) inner *= shape[static_cast<size_t>(i)];
  const int64_t k = x.size(dim);
  shape[static_cast<size_t>(dim)] = 1;
  auto sum = at::empty(shape, x.options().requires_grad(false));
  if (weights != nullptr) *weights = at::empty_like(x, x.options().requires_grad(false));
  static const auto run = simd::Compiled<Columns>::for_machine<const Table&, int64_t, int64_t>();
  const Table first{.x = x.data_ptr<double>(),
                    .sum = sum.data_ptr<double>(),
                    .weights = weights == nullptr ? nullptr : weights->data_ptr<double>(),
                    .k = k,
                    .stride = inner};
  detail::recording::run([first, outer, k, inner] {
    for (int64_t o = 0; o < outer; ++o) {
      Table table = first;
      table.x += o * k * inner;
      table.sum += o * inner;
      if (table.weights != nullptr) table.weights += o * k * inner;
      const int64_t blocks = (inner + kColumns - 1) / kColumns;
      detail::parallel_for(0, blocks, 1 + (1 << 14) / (k * kColumns),
                           [&](int64_t begin, int64_t end) {
                             run(table, begin * kColumns, std::min(end * kColumns, inner));
                           });
    }
  });
  return sum;
}

struct WithWeights : torch::autograd::Function<WithWeights> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t dim) {
    at::Tensor weights;
    auto sum = in_one_pass(x, dim, &weights);
    context->save_for_backward({weights});
    return sum;
  }
  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    return {context->get_saved_variables()[0] * gradient[0], at::Tensor()};
  }
};

}  // namespace

at::Tensor plain::log_sum_exp(const at::Tensor& x, int64_t dim) {
  const auto impossible = x.detach().eq(-kInfinity).all(dim, /*keepdim=*/true);
  return x.masked_fill(impossible, 0).logsumexp(dim, true).masked_fill(impossible, -kInfinity);
}

at::Tensor log_sum_exp(const at::Tensor& given, int64_t dim) {
  if (!given.is_cpu() || given.scalar_type() != at::kDouble || given.numel() == 0)
    return plain::log_sum_exp(given, dim);
  const auto x = given.contiguous();
  if (!x.requires_grad() || !at::GradMode::is_enabled()) return in_one_pass(x, dim, nullptr);
  return WithWeights::apply(x, dim);
}

}  // namespace elbo
