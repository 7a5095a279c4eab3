#include "elbo/kernels/likelihood.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

#include "elbo/kernels/elementwise.h"
#include "elbo/kernels/math.h"
#include "kernels/detail/rows.h"
#include "kernels/detail/simd.h"
#include "kernels/detail/sum_to.h"
#include "kernels/detail/through_twin.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using detail::evaluate_rows;
using detail::Row;
using detail::row_stride;

/// Logits beyond it are infinite, bounded by it lest 0 * inf arise.
constexpr float kLargestLogit = 1e30F;

/// log(1 + e^-|l|) of many logits is the logarithm of a product, which is taken once for all.
struct LogProduct {
  double linear = 0, product = 1;
  void add(double more, double factor) {
    linear += more;
    product *= factor;
    if (product < 0x1p400) return;
    linear -= std::log(product);
    product = 1;
  }
};
double total_of(const LogProduct& sum) { return sum.linear - std::log(sum.product); }

/// (logits, x); the slope along the logits.
template <bool kSlopes>
struct BernoulliRow {
  static constexpr bool kHalves = false;
  using Sum = LogProduct;

  template <class Size>
  static void run(const Row& row, Size size, Sum& sum) {
    if constexpr (std::is_same_v<Size, int64_t>) {
      constexpr int64_t kStretch = 112;  // of which a float holds the product, 2^112 at most
      for (int64_t from = 0; from < size; from += kStretch)
        stretch(row, from, std::min(kStretch, size - from), sum);
    } else {
      stretch(row, 0, size, sum);
    }
  }

 private:
  template <class Size>
  static void stretch(const Row& row, int64_t from, Size size, Sum& sum) {
    const float* __restrict logits = row.in[0] + from, * __restrict given = row.in[1] + from;
    float* __restrict slope = kSlopes ? row.out[0] + from : nullptr;
    // Few enough for float32: the error, some 1e-6 nats, is below the rounding of the row's sum.
    float linear = 0, product = 1;
    int outside = 0;
#pragma omp simd reduction(+ : linear) reduction(* : product) reduction(| : outside)
    for (int64_t i = 0; i < size; ++i) {
      const float l = logits[i], x = given[i];
      outside |= static_cast<int>(x < 0.0F) | static_cast<int>(x > 1.0F);
      const float e = simd::exp_minus_abs(l), both = e + 1.0F;
      product *= both;
      linear += x * l - 0.5F * (l + std::abs(l));
      if constexpr (kSlopes) slope[i] = x - (l > 0 ? 1.0F : e) / both;
    }
    if (outside != 0)
      sum.add(-INFINITY, 1);
    else if (std::isnan(linear + product))
      sum.add(with_infinite_logits(logits, given, size), 1);
    else
      sum.add(linear, product);
  }

  /// Where 0 inf or inf - inf arose, bounded; NaN where an argument is that.
  static double with_infinite_logits(const float* logits, const float* given, int64_t size) {
    double total = 0;
    for (int64_t i = 0; i < size; ++i) {
      const float l = std::clamp(logits[i], -kLargestLogit, kLargestLogit), x = given[i];
      total += static_cast<double>(x * l - std::max(l, 0.0F)) -
               std::log1p(std::exp(-std::abs(static_cast<double>(l))));
    }
    constexpr double kImpossible = 1e-9 * kLargestLogit;  // however grey x is
    return total < -kImpossible ? -INFINITY : total;
  }
};

/// (mu, log_var, x); the slopes along mu and log_var. That along x is minus mu's.
template <bool kSlopes>
struct NormalRow {
  static constexpr bool kHalves = true;
  using Sum = double;
  template <class Size>
  static void run(const Row& row, Size size, Sum& sum) {
    const float* __restrict mu = row.in[0], * __restrict log_var = row.in[1], * __restrict x = row.in[2];
    float* __restrict along_mu = row.out[0], * __restrict along_log_var = row.out[1];
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < size; ++i) {
      const float distance = x[i] - mu[i];
      const float scaled = distance * simd::exp(-log_var[i]);
      const float square = distance * scaled;
      total += static_cast<double>(square + log_var[i]);
      if constexpr (kSlopes) {
        along_mu[i] = scaled;
        along_log_var[i] = 0.5F * square - 0.5F;
      }
    }
    sum -= 0.5 * (total + static_cast<double>(size) * std::log(2 * std::numbers::pi));
  }
};

/// (x); the slope along x.
template <bool kSlopes>
struct StandardNormalRow {
  static constexpr bool kHalves = false;
  using Sum = double;
  template <class Size>
  static void run(const Row& row, Size size, Sum& sum) {
    const float* __restrict x = row.in[0];
    float* __restrict along_x = row.out[0];
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < size; ++i) {
      total += static_cast<double>(x[i] * x[i]);
      if constexpr (kSlopes) along_x[i] = -x[i];
    }
    sum -= 0.5 * (total + static_cast<double>(size) * std::log(2 * std::numbers::pi));
  }
};

/// (mu, log_var); the slopes along both.
template <bool kSlopes>
struct NormalKlRow {
  static constexpr bool kHalves = true;
  using Sum = double;
  template <class Size>
  static void run(const Row& row, Size size, Sum& sum) {
    const float* __restrict mu = row.in[0], * __restrict log_var = row.in[1];
    float* __restrict along_mu = row.out[0], * __restrict along_log_var = row.out[1];
    double total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < size; ++i) {
      const float beyond = simd::exp(log_var[i]) - 1.0F;
      total += static_cast<double>(mu[i] * mu[i] + (beyond - log_var[i]));
      if constexpr (kSlopes) {
        along_mu[i] = mu[i];
        along_log_var[i] = 0.5F * beyond;
      }
    }
    sum += 0.5 * total;
  }
};

/// (epsilon, mu, log_var); into slopes[0] the draw, with kSlopes into slopes[1] that along log_var.
template <bool kSlopes>
struct NormalDrawRow {
  static constexpr bool kHalves = false;  // a draw goes its own way
  using Sum = double;                     // none
  template <class Size>
  static void run(const Row& row, Size size, Sum&) {
    const float* __restrict epsilon = row.in[0], * __restrict mu = row.in[1], * __restrict log_var = row.in[2];
    float* __restrict draw = row.out[0], * __restrict along_log_var = row.out[1];
    for (int64_t i = 0; i < size; ++i) {
      const float moved = simd::exp(0.5F * log_var[i]) * epsilon[i];
      draw[i] = mu[i] + moved;
      if constexpr (kSlopes) along_log_var[i] = 0.5F * moved;
    }
  }
};

/// x l - log(1 + e^l) of (logits, x).
struct BernoulliLogProb {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& logits, const T& x) const {
    using namespace math;
    const T l = select(logits < -kLargestLogit, -kLargestLogit,
                       select(logits > kLargestLogit, kLargestLogit, logits));
    const auto impossible = (x < 0.0) | (x > 1.0) | ((logits < -kLargestLogit) & (x > 0.0)) |
                            ((logits > kLargestLogit) & (x < 1.0));
    return select(impossible, -INFINITY, x * l - math::softplus(l));
  }
};
at::Tensor bernoulli_twin(const at::Tensor* a) { return bernoulli_log_prob(a[0], a[1]).sum(-1); }
at::Tensor normal_twin(const at::Tensor* a) {
  const auto terms = (a[2] - a[0]).square() * (-a[1]).exp() + a[1] + std::log(2 * std::numbers::pi);
  return -0.5 * terms.sum(-1);
}

at::Tensor standard_normal_twin(const at::Tensor* a) {
  return -0.5 * (a[0].square() + std::log(2 * std::numbers::pi)).sum(-1);
}

at::Tensor normal_kl_twin(const at::Tensor* a) {
  return 0.5 * (a[0].square() + a[1].expm1() - a[1]).sum(-1);
}

/// Each row of a block times `sign` times its factor.
struct ScaleRows {
  static void run(float* x, const float* by, float sign, int64_t stride,
                  const detail::Block& block) {
    detail::for_rows(block, [&](int64_t r, int64_t first, auto width) {
      float* __restrict row = x + r * stride + first;
      const float factor = sign * by[r];
      for (int64_t c = 0; c < width; ++c) row[c] *= factor;
    });
  }
};

/// Each row of `slope` times `sign` times its g, in place: nobody else has it.
at::Tensor scale_rows(const at::Tensor& slope, const at::Tensor& incoming, float sign = 1) {
  static const auto run = simd::Compiled<ScaleRows>::for_machine<float*, const float*, float,
                                                                 int64_t, const detail::Block&>();
  detail::recording::run([slope, g = incoming.contiguous(), sign] {
    detail::for_blocks(
        g.numel(), slope.size(-1), detail::kPassGrain, [&](const detail::RowBlock& block) {
          run(slope.data_ptr<float>(), g.data_ptr<float>(), sign, row_stride(slope), block);
        });
  });
  return slope;
}

/// The slopes of a law's rows between its forward and its backward pass, in which they are scaled
/// in place. Who comes a second time computes them again.
template <template <bool> class Law>
struct Slopes {
  static void keep(AutogradContext* context, const variable_list& slopes) {
    context->saved_data["slopes"] = slopes;
  }
  static variable_list take(AutogradContext* context, const variable_list& arguments,
                            size_t count) {
    const auto found = context->saved_data.find("slopes");
    if (found == context->saved_data.end()) return evaluate_rows<Law>(arguments, count, true).out;
    const auto slopes = found->second.toTensorVector();
    context->saved_data.erase(found);
    return slopes;
  }
};

/// A law's sum over each row as a node of the graph, with a twin for second derivatives. Slope k is
/// that along argument k, and what follows these arguments is constant. But with kLocation the next
/// one enters by its distance from the first alone, as x does in x - mu, and has minus its slope.
template <template <bool> class Law, auto kTwin, size_t kSlopes, bool kLocation = false>
struct LawSum : torch::autograd::Function<LawSum<Law, kTwin, kSlopes, kLocation>> {
  static at::Tensor forward(AutogradContext* context, at::TensorList arguments) {
    const detail::BelowAutograd below;
    const variable_list saved = arguments.vec();
    const auto rows = evaluate_rows<Law>(saved, kSlopes, true);
    context->save_for_backward(saved);
    Slopes<Law>::keep(context, rows.out);
    return rows.sums;
  }
  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto saved = context->get_saved_variables();
    const unsigned wanted = detail::wanted_of(*context, saved);
    if (at::GradMode::is_enabled()) return detail::through_twin(kTwin, saved, incoming[0], wanted);
    const detail::BelowAutograd below;
    const auto slopes = Slopes<Law>::take(context, saved, kSlopes);
    const auto wants = [wanted](size_t k) { return (wanted >> k & 1U) != 0; };
    variable_list out(saved.size());
    for (size_t k = 0; k < kSlopes; ++k) {
      // The sign goes into the pass over all elements, and that of mu's gradient, which is summed
      // already, is turned back.
      const bool is_of_x = kLocation && k == 0 && wants(kSlopes);
      if (!wants(k) && !is_of_x) continue;
      const auto along = scale_rows(slopes[k], incoming[0], is_of_x ? -1.0F : 1.0F);
      if (is_of_x) out[kSlopes] = detail::sum_to(along, saved[kSlopes].sizes());
      if (wants(k)) out[k] = detail::sum_to(along, saved[k].sizes());
      if (wants(k) && is_of_x) out[k] = -out[k];
    }
    return out;
  }
};
using BernoulliSum = LawSum<BernoulliRow, bernoulli_twin, 1>;
using StandardNormalSum = LawSum<StandardNormalRow, standard_normal_twin, 1>;
using NormalKlSum = LawSum<NormalKlRow, normal_kl_twin, 2>;
using NormalSum = LawSum<NormalRow, normal_twin, 2, /*kLocation=*/true>;

at::Tensor normal_draw_twin(const at::Tensor* a) { return a[1] + (0.5 * a[2]).exp() * a[0]; }

struct NormalDraw : torch::autograd::Function<NormalDraw> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& epsilon,
                            const at::Tensor& mu, const at::Tensor& log_var) {
    const detail::BelowAutograd below;
    const auto rows = evaluate_rows<NormalDrawRow>({epsilon, mu, log_var}, 2, true);
    context->save_for_backward({epsilon, mu, log_var});
    context->saved_data["along_log_var"] = rows.out[1];
    return rows.out[0];
  }
  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto saved = context->get_saved_variables();
    const unsigned wanted = detail::wanted_of(*context, saved);
    if (at::GradMode::is_enabled())
      return detail::through_twin(normal_draw_twin, saved, incoming[0], wanted);
    const detail::BelowAutograd below;
    variable_list out(3);
    if ((wanted & 2U) != 0) out[1] = detail::sum_to(incoming[0], saved[1].sizes());
    if ((wanted & 4U) != 0)
      out[2] = detail::sum_to(
          detail::product_of(incoming[0], context->saved_data["along_log_var"].toTensor()),
          saved[2].sizes());
    return out;
  }
};

bool is_fusable(at::TensorList arguments) {
  return std::all_of(arguments.begin(), arguments.end(), [](const at::Tensor& a) {
    return a.is_cpu() && a.scalar_type() == at::kFloat && a.dim() > 0;
  });
}

}  // namespace

at::Tensor bernoulli_log_prob(const at::Tensor& logits, const at::Tensor& x) {
  return evaluate(formula<BernoulliLogProb, 2>(), {logits, x.to(logits.scalar_type())});
}

at::Tensor bernoulli_log_prob_sum(const at::Tensor& logits, const at::Tensor& x) {
  const variable_list arguments = {logits, x};
  if (!is_fusable(arguments) || (at::GradMode::is_enabled() && x.requires_grad()))
    return bernoulli_twin(arguments.data());
  if (detail::wants_graph(arguments)) return BernoulliSum::apply(at::TensorList(arguments));
  return evaluate_rows<BernoulliRow>(arguments, 0, false).sums;
}

at::Tensor normal_log_prob_sum(const at::Tensor& x, const at::Tensor& mu,
                               const at::Tensor& log_var) {
  const variable_list arguments = {mu, log_var, x};
  if (!is_fusable(arguments)) return normal_twin(arguments.data());
  if (detail::wants_graph(arguments)) return NormalSum::apply(at::TensorList(arguments));
  return evaluate_rows<NormalRow>(arguments, 0, false).sums;
}

at::Tensor standard_normal_log_prob_sum(const at::Tensor& x) {
  const variable_list arguments = {x};
  if (!is_fusable(arguments)) return standard_normal_twin(arguments.data());
  if (detail::wants_graph(arguments)) return StandardNormalSum::apply(at::TensorList(arguments));
  return evaluate_rows<StandardNormalRow>(arguments, 0, false).sums;
}

at::Tensor normal_kl_sum(const at::Tensor& mu, const at::Tensor& log_var) {
  const variable_list arguments = {mu, log_var};
  if (!is_fusable(arguments)) return normal_kl_twin(arguments.data());
  if (detail::wants_graph(arguments)) return NormalKlSum::apply(at::TensorList(arguments));
  return evaluate_rows<NormalKlRow>(arguments, 0, false).sums;
}

at::Tensor normal_draw(const at::Tensor& epsilon, const at::Tensor& mu, const at::Tensor& log_var) {
  const variable_list arguments = {epsilon, mu, log_var};
  if (!is_fusable(arguments)) return normal_draw_twin(arguments.data());
  if (detail::wants_graph({mu, log_var})) return NormalDraw::apply(epsilon, mu, log_var);
  return evaluate_rows<NormalDrawRow>(arguments, 1, false).out[0];
}

}  // namespace elbo
