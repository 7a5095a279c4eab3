#include "elbo/kernels/likelihood.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/detail/floats.h"
#include "kernels/detail/through_twin.h"

namespace elbo {
namespace {

using floats::kLanes;
using floats::Lanes;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Elements whose terms are summed in float32 before they join the row's sum in float64.
constexpr int64_t kStretch = 512;
constexpr int64_t kGrain = 8192;  // elements

ELBO_INLINE double sum(const Lanes& x) {
  double total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += static_cast<double>(x[lane]);
  return total;
}

/// Calls step(i, count) for every whole stretch of lanes from `begin` on, and for what is left.
template <class Step>
ELBO_INLINE void for_each_lanes(int64_t begin, int64_t end, const Step& step) {
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) step(i, kLanes);
  if (i < end) step(i, end - i);
}
ELBO_INLINE void load(const float* from, int64_t count, float rest, Lanes* to) {
  if (count == kLanes)
    floats::load(from, to);
  else
    floats::load_part(from, count, rest, to);
}
ELBO_INLINE void store(const Lanes& from, int64_t count, float* to) {
  if (count == kLanes)
    floats::store(from, to);
  else
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

/// A row's arguments, and where its slopes go: null where none are wanted.
struct Row {
  const float* in[3] = {};
  float* slopes[2] = {};
  int64_t size = 0;
};

struct BernoulliRow {
  static constexpr size_t kArity = 2, kSlopes = 1;
  /// (logits, x); the slope along the logits.
  ELBO_INLINE static double value(const Row& row) {
    double total = 0;
    for (int64_t from = 0; from < row.size; from += kStretch) {
      // log(1 + e^-|l|) is summed as the logarithm of a product, at most 2^64 a lane.
      Lanes linear = {}, product = Lanes{} + 1.0F;
      for_each_lanes(from, std::min(from + kStretch, row.size), [&](int64_t i, int64_t count) {
        Lanes l, x, magnitude, e;
        load(row.in[0] + i, count, -200, &l);
        load(row.in[1] + i, count, 0, &x);
        l = l > 1e30F ? Lanes{} + 1e30F : (l < -1e30F ? Lanes{} - 1e30F : l);  // 0 inf is 0
        floats::abs(l, &magnitude);
        floats::exp(-magnitude, &e);
        const Lanes both = e + 1.0F;
        product = product * both;
        linear = linear + (x * l - (l > 0.0F ? l : Lanes{}));
        if (row.slopes[0] != nullptr)
          store(x - (l > 0.0F ? Lanes{} + 1.0F : e) / both, count, row.slopes[0] + i);
      });
      double together = 1;
      for (int lane = 0; lane < kLanes; ++lane) together *= static_cast<double>(product[lane]);
      total += sum(linear) - std::log(together);
    }
    return total;
  }
};

struct NormalRow {
  static constexpr size_t kArity = 3, kSlopes = 2;
  /// (x, mu, log_var); the slopes along mu and log_var.
  ELBO_INLINE static double value(const Row& row) {
    double total = 0;
    for (int64_t from = 0; from < row.size; from += kStretch) {
      Lanes terms = {};
      for_each_lanes(from, std::min(from + kStretch, row.size), [&](int64_t i, int64_t count) {
        Lanes x, mu, log_var, precision;
        load(row.in[0] + i, count, 0, &x);
        load(row.in[1] + i, count, 0, &mu);
        load(row.in[2] + i, count, 0, &log_var);
        floats::exp(-log_var, &precision);
        const Lanes along_mu = (x - mu) * precision;
        const Lanes square = (x - mu) * along_mu;
        terms = terms + (square + log_var);
        if (row.slopes[0] != nullptr) {
          store(along_mu, count, row.slopes[0] + i);
          store(0.5F * square - 0.5F, count, row.slopes[1] + i);
        }
      });
      total += sum(terms);
    }
    return -0.5 * (total + static_cast<double>(row.size) * std::log(2 * std::numbers::pi));
  }
};

struct NormalKlRow {
  static constexpr size_t kArity = 2, kSlopes = 2;
  /// (mu, log_var); the slopes along both.
  ELBO_INLINE static double value(const Row& row) {
    double total = 0;
    for (int64_t from = 0; from < row.size; from += kStretch) {
      Lanes terms = {};
      for_each_lanes(from, std::min(from + kStretch, row.size), [&](int64_t i, int64_t count) {
        Lanes mu, log_var, variance;
        load(row.in[0] + i, count, 0, &mu);
        load(row.in[1] + i, count, 0, &log_var);
        floats::exp(log_var, &variance);
        terms = terms + (mu * mu + ((variance - 1.0F) - log_var));
        if (row.slopes[0] != nullptr) {
          store(mu, count, row.slopes[0] + i);
          store(0.5F * variance - 0.5F, count, row.slopes[1] + i);
        }
      });
      total += sum(terms);
    }
    return 0.5 * total;
  }
};

template <class F>
double row_baseline(const Row& row) {
  return F::value(row);
}
#if defined(ELBO_HAS_AVX2_LOOPS)
template <class F>
ELBO_AVX2 double row_avx2(const Row& row) {
  return F::value(row);
}
#endif
template <class F>
auto row_for_machine() {
#if defined(ELBO_HAS_AVX2_LOOPS)
  if (math::has_avx2()) return row_avx2<F>;
#endif
  return row_baseline<F>;
}

/// An argument as rows; row r of the whole is row r % count of it.
struct Operand {
  at::Tensor rows;  // [count, size], contiguous within a row
  [[nodiscard]] const float* row(int64_t r) const {
    return rows.data_ptr<float>() + r % rows.size(0) * rows.stride(0);
  }
};

Operand operand(const at::Tensor& x, at::IntArrayRef shape) {
  // The dimensions in front of x, or of size 1 in front of the rest of it, only repeat it.
  auto own = x.sizes();
  while (own.size() > 1 && own.front() == 1) own = own.slice(1);
  const bool repeats =
      own.size() <= shape.size() && own.equals(shape.slice(shape.size() - own.size()));
  auto rows = (repeats ? x : x.expand(shape)).reshape({-1, shape.back()});
  return {rows.stride(1) == 1 ? rows : rows.contiguous()};
}

/// The sums, and the slopes of the broadcast shape where they are wanted.
template <class F>
std::pair<at::Tensor, variable_list> evaluate_rows(const variable_list& arguments, bool slopes) {
  std::vector<int64_t> shape;
  for (const auto& a : arguments) shape = at::infer_size(shape, a.sizes());
  const int64_t size = shape.back();
  const auto options = arguments[0].options().requires_grad(false);
  const auto batch = at::IntArrayRef(shape).slice(0, shape.size() - 1);
  variable_list along(slopes ? F::kSlopes : 0);
  for (auto& a : along) a = at::empty(shape, options);
  auto out = at::empty(batch, options);
  if (size == 0 || out.numel() == 0) return {out.zero_(), along};
  Operand in[F::kArity];
  for (size_t k = 0; k < F::kArity; ++k) in[k] = operand(arguments[k].detach(), shape);
  static const auto row_value = row_for_machine<F>();
  auto* to = out.template data_ptr<float>();
  at::parallel_for(0, out.numel(), std::max<int64_t>(1, kGrain / size),
                   [&](int64_t begin, int64_t end) {
                     Row row{.size = size};
                     for (int64_t r = begin; r < end; ++r) {
                       for (size_t k = 0; k < F::kArity; ++k) row.in[k] = in[k].row(r);
                       for (size_t k = 0; k < along.size(); ++k)
                         row.slopes[k] = along[k].template data_ptr<float>() + r * size;
                       to[r] = static_cast<float>(row_value(row));
                     }
                   });
  return {out, along};
}

at::Tensor bernoulli_twin(const at::Tensor* a) {
  const auto logits = a[0].clamp(-1e30, 1e30);
  return (a[1] * logits + at::log_sigmoid(-logits)).sum(-1);
}
at::Tensor normal_twin(const at::Tensor* a) {
  const auto terms = (a[0] - a[1]).square() * (-a[2]).exp() + a[2] + std::log(2 * std::numbers::pi);
  return -0.5 * terms.sum(-1);
}

at::Tensor normal_kl_twin(const at::Tensor* a) {
  return 0.5 * (a[0].square() + a[1].expm1() - a[1]).sum(-1);
}

/// slope g, where g is a row's.
at::Tensor scaled(const at::Tensor& slope, const at::Tensor& incoming) {
  return slope * incoming.unsqueeze(-1);
}

struct BernoulliSum : torch::autograd::Function<BernoulliSum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& logits,
                            const at::Tensor& x) {
    auto [out, slopes] = evaluate_rows<BernoulliRow>({logits, x}, true);
    context->save_for_backward({logits, x, slopes[0]});
    return out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto saved = context->get_saved_variables();
    if (at::GradMode::is_enabled())
      return detail::through_twin(bernoulli_twin, {saved[0], saved[1]}, incoming[0], 1);
    return {at::sum_to(scaled(saved[2], incoming[0]), saved[0].sizes()), {}};
  }
};

struct NormalSum : torch::autograd::Function<NormalSum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& mu,
                            const at::Tensor& log_var) {
    auto [out, slopes] = evaluate_rows<NormalRow>({x, mu, log_var}, true);
    context->save_for_backward({x, mu, log_var, slopes[0], slopes[1]});
    return out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto saved = context->get_saved_variables();
    const variable_list arguments = {saved[0], saved[1], saved[2]};
    const unsigned wanted = detail::wanted_of(arguments);
    if (at::GradMode::is_enabled())
      return detail::through_twin(normal_twin, arguments, incoming[0], wanted);
    variable_list out(3);
    if ((wanted & 3U) != 0) {
      const auto along_mu = scaled(saved[3], incoming[0]);
      if ((wanted & 1U) != 0) out[0] = at::sum_to(-along_mu, arguments[0].sizes());
      if ((wanted & 2U) != 0) out[1] = at::sum_to(along_mu, arguments[1].sizes());
    }
    if ((wanted & 4U) != 0)
      out[2] = at::sum_to(scaled(saved[4], incoming[0]), arguments[2].sizes());
    return out;
  }
};

struct NormalKlSum : torch::autograd::Function<NormalKlSum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& mu,
                            const at::Tensor& log_var) {
    auto [out, slopes] = evaluate_rows<NormalKlRow>({mu, log_var}, true);
    context->save_for_backward({mu, log_var, slopes[0], slopes[1]});
    return out;
  }
  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    const auto saved = context->get_saved_variables();
    const variable_list arguments = {saved[0], saved[1]};
    const unsigned wanted = detail::wanted_of(arguments);
    if (at::GradMode::is_enabled())
      return detail::through_twin(normal_kl_twin, arguments, incoming[0], wanted);
    variable_list out(2);
    for (size_t k = 0; k < 2; ++k)
      if ((wanted >> k & 1U) != 0)
        out[k] = at::sum_to(scaled(saved[k + 2], incoming[0]), arguments[k].sizes());
    return out;
  }
};

bool is_fusable(at::TensorList arguments) {
  return std::all_of(arguments.begin(), arguments.end(), [](const at::Tensor& a) {
    return a.is_cpu() && a.scalar_type() == at::kFloat && a.dim() > 0;
  });
}
bool wants_gradient(at::TensorList arguments) {
  return at::GradMode::is_enabled() &&
         std::any_of(arguments.begin(), arguments.end(),
                     [](const at::Tensor& a) { return a.requires_grad(); });
}

}  // namespace

at::Tensor bernoulli_log_prob_sum(const at::Tensor& logits, const at::Tensor& x) {
  const variable_list arguments = {logits, x};
  if (!is_fusable(arguments) || (at::GradMode::is_enabled() && x.requires_grad()))
    return bernoulli_twin(arguments.data());
  if (wants_gradient(arguments)) return BernoulliSum::apply(logits, x);
  return evaluate_rows<BernoulliRow>(arguments, false).first;
}

at::Tensor normal_log_prob_sum(const at::Tensor& x, const at::Tensor& mu,
                               const at::Tensor& log_var) {
  const variable_list arguments = {x, mu, log_var};
  if (!is_fusable(arguments)) return normal_twin(arguments.data());
  if (wants_gradient(arguments)) return NormalSum::apply(x, mu, log_var);
  return evaluate_rows<NormalRow>(arguments, false).first;
}

at::Tensor normal_kl_sum(const at::Tensor& mu, const at::Tensor& log_var) {
  const variable_list arguments = {mu, log_var};
  if (!is_fusable(arguments)) return normal_kl_twin(arguments.data());
  if (wants_gradient(arguments)) return NormalKlSum::apply(mu, log_var);
  return evaluate_rows<NormalKlRow>(arguments, false).first;
}

}  // namespace elbo
