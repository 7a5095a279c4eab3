#include "elbo/optim/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "elbo/error.h"
#include "kernels/detail/product.h"
#include "kernels/detail/share.h"
#include "kernels/detail/simd.h"
#include "optim/detail/on_device.h"

namespace elbo {
namespace {

/// Parameters that with their gradient and the rule's state lie in the first cache.
constexpr int64_t kBlock = 2048;
constexpr int64_t kGrain = 8 * kBlock;

/// w[i] += rule(g, first[i], second[i]) with g = scale gradient[i] - precision w[i], and the sums
/// of squares, of the old w. A rule of one state, or none, does not touch the others. A gradient
/// that is not finite counts as 0. One pass: looking through the gradients first would wait for
/// memory twice.
template <class T, class Rule>
ELBO_INLINE Optimizer::Seen move(T* __restrict w, const T* __restrict gradient, T* __restrict first,
                                 T* __restrict second, int64_t n, T scale, T precision,
                                 const Rule rule) {
  constexpr T kLargest = std::numeric_limits<T>::max();
  T parameters = 0, gradients = 0;
#pragma omp simd reduction(+ : parameters, gradients)
  for (int64_t i = 0; i < n; ++i) {
    parameters += w[i] * w[i];
    gradients += gradient[i] * gradient[i];
    const T ascent = std::abs(gradient[i]) <= kLargest ? gradient[i] : T(0);
    const T g = scale * ascent - precision * w[i];
    if constexpr (Rule::kStates == 0)
      w[i] += rule(g);
    else if constexpr (Rule::kStates == 1)
      w[i] += rule(g, first[i]);
    else
      w[i] += rule(g, first[i], second[i]);
  }
  return {.parameter_squares = static_cast<double>(parameters),
          .gradient_squares = static_cast<double>(gradients)};
}

/// What moves, and by what.
template <class T>
struct Operands {
  T* w;
  const T* gradient;
  T *first, *second;  // the rule's state
  uint16_t* rounded;  // w as bfloat16, or null
  detail::RoundToBfloat16 round;
  T scale, precision;
};

/// One block; `seen` gets its sums.
template <class T, class Rule>
struct Block {
  static void run(const Operands<T>& o, int64_t begin, int64_t n, const Rule& rule,
                  Optimizer::Seen* seen) {
    *seen = move(o.w + begin, o.gradient + begin, o.first + begin, o.second + begin, n, o.scale,
                 o.precision, rule);
    if constexpr (std::is_same_v<T, float>)
      if (o.rounded != nullptr) o.round(o.w + begin, o.rounded + begin, n);
  }
};

/// visit(begin, end) for what of a segment is one thread's: of each parameter the rows whose
/// gradient it has written (kernels/detail/product.h).
template <class Visit>
void for_own(const FlatParameters& parameters, const Segment& segment, int64_t part, int64_t parts,
             const Visit& visit) {
  if (parts == 1) return visit(segment.begin, segment.end);
  int64_t first = 0;
  for (const auto& [name, parameter] : parameters.named()) {
    const int64_t rows = parameter.dim() > 0 ? std::max<int64_t>(1, parameter.size(0)) : 1;
    const int64_t width = parameter.numel() / rows;
    const auto own = detail::share_of(rows, part, parts);
    const int64_t begin = std::max(segment.begin, first + own.begin * width);
    const int64_t end = std::min(segment.end, first + own.end * width);
    if (begin < end) visit(begin, end);
    first += parameter.numel();
  }
}

void add(Optimizer::Seen& sum, const Optimizer::Seen& one) {
  sum.parameter_squares += one.parameter_squares;
  sum.gradient_squares += one.gradient_squares;
}

/// **Throws** NumericError where the gradient was not finite.
Optimizer::Seen checked(const Optimizer::Seen& seen) {
  if (!std::isfinite(seen.gradient_squares))
    throw NumericError(
        fmt::format("the gradient's norm became {}", std::sqrt(seen.gradient_squares)));
  return seen;
}

/// Moves a segment by a rule of these states, which are buffers like the parameters'.
template <class T, class Rule>
Optimizer::Seen sweep(FlatParameters& parameters, const Segment& segment,
                      const Optimizer& optimizer, const Rule& rule, const at::Tensor& first = {},
                      const at::Tensor& second = {}) {
  static const auto run =
      simd::Compiled<Block<T, Rule>>::template for_machine<const Operands<T>&, int64_t, int64_t,
                                                           const Rule&, Optimizer::Seen*>();
  const FlatParameters::Writing writing(parameters);
  T* w = parameters.values().data_ptr<T>();
  const Operands<T> operands = {w,
                                parameters.gradients().data_ptr<T>(),
                                first.defined() ? first.data_ptr<T>() : w,
                                second.defined() ? second.data_ptr<T>() : w,
                                writing.rounded(),
                                detail::round_to_bfloat16_for_machine(),
                                static_cast<T>(optimizer.gradient_scale),
                                static_cast<T>(optimizer.prior_precision)};
  const int64_t parts = detail::parts_for(segment.size(), kGrain);
  std::vector<Optimizer::Seen> seen(static_cast<size_t>(parts));
  detail::for_parts(parts, [&](int64_t part) {
    Optimizer::Seen own;  // in this thread's memory
    for_own(parameters, segment, part, parts, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; at += kBlock) {
        Optimizer::Seen one;
        run(operands, at, std::min(kBlock, end - at), rule, &one);
        add(own, one);
      }
    });
    seen[static_cast<size_t>(part)] = own;
  });
  Optimizer::Seen total;
  for (const auto& one : seen) add(total, one);
  return checked(total);
}

/// The same where the parameters are not on the CPU.
Optimizer::Seen sweep_on_device(std::shared_ptr<detail::UpdatesOnDevice>& kept,
                                FlatParameters& parameters, const Segment& segment,
                                const Optimizer& optimizer, double rate, double root,
                                const detail::RuleOnDevice& rule) {
  if (!kept) kept = std::make_shared<detail::UpdatesOnDevice>();
  return checked(kept->step(parameters, segment,
                            {.scale = optimizer.gradient_scale,
                             .precision = optimizer.prior_precision,
                             .rate = rate,
                             .root = root},
                            rule));
}

template <class T>
struct SgdRule {
  static constexpr int kStates = 0;
  T rate;
  ELBO_INLINE T operator()(T g) const { return rate * g; }
};

template <class T>
struct AdagradRule {
  static constexpr int kStates = 1;
  T rate, eps;
  ELBO_INLINE T operator()(T g, T& sum) const {
    sum += g * g;
    return rate * g / (std::sqrt(sum) + eps);
  }
};

template <class T>
struct AdamRule {
  static constexpr int kStates = 2;
  T b1, b2, rate, root, eps;
  ELBO_INLINE T operator()(T g, T& m, T& v) const {
    m = b1 * m + (1 - b1) * g;
    v = b2 * v + (1 - b2) * g * g;
    return rate * m / (std::sqrt(v) * root + eps);
  }
};

#define ELBO_DISPATCH(parameters, name, ...) \
  AT_DISPATCH_FLOATING_TYPES((parameters).values().scalar_type(), name, __VA_ARGS__)

at::Tensor part_of(const at::Tensor& buffer, const Segment& segment) {
  return buffer.narrow(0, segment.begin, segment.size());
}

at::Tensor zeros_like_values(const FlatParameters& parameters) {
  return at::zeros_like(parameters.values());
}

}  // namespace

using NumbersOnDevice = detail::UpdateNumbers<at::Tensor>;

Optimizer::Seen Sgd::step(FlatParameters& parameters, const Segment& segment) {
  if (!parameters.values().is_cpu())
    return sweep_on_device(
        on_device_, parameters, segment, *this, lr, 1,
        [](const at::Tensor& g, const NumbersOnDevice& now) { return g * now.rate; });
  Seen seen;
  ELBO_DISPATCH(parameters, "sgd", [&] {
    seen =
        sweep<scalar_t>(parameters, segment, *this, SgdRule<scalar_t>{static_cast<scalar_t>(lr)});
  });
  return seen;
}

Adagrad::Adagrad(const FlatParameters& parameters, double lr, double eps)
    : eps_(eps), sum_(zeros_like_values(parameters)) {
  this->lr = lr;
}

Optimizer::Seen Adagrad::step(FlatParameters& parameters, const Segment& segment) {
  if (!parameters.values().is_cpu())
    return sweep_on_device(on_device_, parameters, segment, *this, lr, 1,
                           [sum = part_of(sum_, segment), eps = eps_](const at::Tensor& g,
                                                                      const NumbersOnDevice& now) {
                             sum.addcmul_(g, g);
                             return g * now.rate / (sum.sqrt() + eps);
                           });
  Seen seen;
  ELBO_DISPATCH(parameters, "adagrad", [&] {
    const AdagradRule<scalar_t> rule = {static_cast<scalar_t>(lr), static_cast<scalar_t>(eps_)};
    seen = sweep<scalar_t>(parameters, segment, *this, rule, sum_);
  });
  return seen;
}

std::map<std::string, at::Tensor> Adagrad::state(const FlatParameters& parameters) const {
  const auto views = parameters.views_of(sum_, "sum.");
  return {views.begin(), views.end()};
}

Adam::Adam(const FlatParameters& parameters, double lr, double beta1, double beta2, double eps)
    : beta1_(beta1),
      beta2_(beta2),
      eps_(eps),
      first_(zeros_like_values(parameters)),
      second_(zeros_like_values(parameters)),
      steps_(at::zeros({static_cast<int64_t>(parameters.segments().size())}, at::kLong)) {
  this->lr = lr;
}

Optimizer::Seen Adam::step(FlatParameters& parameters, const Segment& segment) {
  const auto& segments = parameters.segments();
  auto* counts = steps_.data_ptr<int64_t>();
  Seen seen;
  for (size_t s = 0; s < segments.size(); ++s) {
    // A step of the whole is a step of each of its parts.
    if (segments[s].begin < segment.begin || segments[s].end > segment.end) continue;
    const auto t = static_cast<double>(++counts[s]);
    const double correction1 = 1 - std::pow(beta1_, t);
    const double correction2 = std::sqrt(1 - std::pow(beta2_, t));
    const double rate = lr / correction1, root = 1 / correction2;
    if (!parameters.values().is_cpu()) {
      add(seen, sweep_on_device(
                    on_device_, parameters, segments[s], *this, rate, root,
                    [this, m = part_of(first_, segments[s]), v = part_of(second_, segments[s])](
                        const at::Tensor& g, const NumbersOnDevice& now) {
                      m.mul_(beta1_).add_(g, 1 - beta1_);
                      v.mul_(beta2_).addcmul_(g, g, 1 - beta2_);
                      return m * now.rate / (v.sqrt() * now.root + eps_);
                    }));
      continue;
    }
    ELBO_DISPATCH(parameters, "adam", [&] {
      const AdamRule<scalar_t> rule = {static_cast<scalar_t>(beta1_), static_cast<scalar_t>(beta2_),
                                       static_cast<scalar_t>(rate), static_cast<scalar_t>(root),
                                       static_cast<scalar_t>(eps_)};
      add(seen, sweep<scalar_t>(parameters, segments[s], *this, rule, first_, second_));
    });
  }
  return seen;
}

std::map<std::string, at::Tensor> Adam::state(const FlatParameters& parameters) const {
  std::map<std::string, at::Tensor> out;
  for (const auto& views :
       {parameters.views_of(first_, "first."), parameters.views_of(second_, "second.")})
    out.insert(views.begin(), views.end());
  int64_t s = 0;
  for (const Segment& segment : parameters.segments())
    out["steps." + segment.name] = steps_.select(0, s++);
  return out;
}

std::unique_ptr<Optimizer> make_optimizer(const std::string& name, const FlatParameters& parameters,
                                          double lr) {
  if (name == "sgd") return std::make_unique<Sgd>(lr);
  if (name == "adagrad") return std::make_unique<Adagrad>(parameters, lr);
  if (name == "adam") return std::make_unique<Adam>(parameters, lr);
  throw ConfigError("optimizer = '" + name + "'; expected sgd, adagrad or adam");
}

}  // namespace elbo
