// The methods of Univariate; included where a law is instantiated.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <vector>

#include "elbo/distributions/univariate.h"
#include "elbo/kernels/elementwise.h"

namespace elbo {
namespace detail {

using math::exp;
using math::maximum;
using math::minimum;
using math::select;

template <class Law>
inline constexpr auto kIndices = std::make_index_sequence<Law::kParameters.size()>{};

/// ELBO_LAW_METHOD(LogProb, log_prob, true) makes the functor `LogProb<Law>` of Law::log_prob.
#define ELBO_LAW_METHOD(Functor, method, hot)                                  \
  template <class Law>                                                         \
  struct Functor {                                                             \
    static constexpr bool kHot = hot;                                          \
    template <class... T, class L = Law> /* so that its absence is no error */ \
    ELBO_INLINE auto operator()(const T&... arguments) const                   \
        -> decltype(L::method(arguments...)) {                                 \
      return L::method(arguments...);                                          \
    }                                                                          \
  };

ELBO_LAW_METHOD(LogProb, log_prob, true)
ELBO_LAW_METHOD(Cdf, cdf, false)
ELBO_LAW_METHOD(LogCdf, log_cdf, false)
ELBO_LAW_METHOD(LogSurvival, log_survival, false)
ELBO_LAW_METHOD(Icdf, icdf, false)
ELBO_LAW_METHOD(Entropy, entropy, false)
ELBO_LAW_METHOD(Mean, mean, false)
ELBO_LAW_METHOD(Variance, variance, false)
ELBO_LAW_METHOD(Mode, mode, false)
ELBO_LAW_METHOD(Valid, valid, false)
ELBO_LAW_METHOD(Lower, lower, false)
ELBO_LAW_METHOD(Upper, upper, false)
#undef ELBO_LAW_METHOD

template <class F, size_t... I>
constexpr bool callable(std::index_sequence<I...>) {
  return std::is_invocable_v<F, decltype(static_cast<double>(I))...>;
}
/// Whether functor F can be called with N doubles.
template <class F, size_t N>
inline constexpr bool kHas = callable<F>(std::make_index_sequence<N>{});

template <class Law>
inline constexpr bool kSamples = requires(Noise::Stream<double>& stream, const double* parameters) {
  Law::sample(stream, parameters);
};
template <class Law>
inline constexpr bool kSamplesPacks = requires(Noise::Stream<math::Pack>& stream,
                                               const math::Pack* parameters) {
  Law::sample(stream, parameters);
};
template <class Law>
inline constexpr bool kHasImplicit = requires {
  &Law::template implicit<Dual<1>>;
};
template <class Law>
inline constexpr bool kFromNormal = requires {
  Law::kFromNormal;
};
template <class Law>
inline constexpr bool kDiscrete =
    Law::kSupport == Constraint::Kind::kBinary || Law::kSupport == Constraint::Kind::kCount ||
    Law::kSupport == Constraint::Kind::kPositiveCount ||
    Law::kSupport == Constraint::Kind::kIntegerInterval;

template <class Law>
inline constexpr Inside kInside =
    Law::kSupport == Constraint::Kind::kPositive               ? Inside::kPositive
    : Law::kSupport == Constraint::Kind::kUnitInterval         ? Inside::kUnitInterval
    : Law::kSupport == Constraint::Kind::kReal&& kSamples<Law> ? Inside::kFinite
                                                               : Inside::kAnywhere;
/// The bounds of `kInside` in a dtype.
template <class Law>
Bounds bounds_of(at::ScalarType type) {
  return bounds(kInside<Law>, type == at::kDouble);
}

/// Law::draw, held inside the support.
template <class Law>
struct Draw {
  static constexpr bool kHot = true;
  static constexpr Inside kInside = detail::kInside<Law>;
  template <class... T, class L = Law>
  ELBO_INLINE auto operator()(const T&... arguments) const -> decltype(L::draw(arguments...)) {
    if constexpr (kInside == Inside::kAnywhere) {
      return L::draw(arguments...);
    } else {
      using V = decltype(L::draw(arguments...));
      const V z = L::draw(arguments...);
      if constexpr (std::is_same_v<V, at::Tensor>) {
        const Bounds held = bounds_of<Law>(z.scalar_type());
        return z.clamp(held.lower, held.upper);
      } else {
        constexpr Bounds kHeld = bounds(kInside, true);
        return minimum(maximum(z, V(kHeld.lower)), V(kHeld.upper));
      }
    }
  }
};

/// z itself, whose slope along a parameter is -(dF/dparameter) / p.
template <class Law>
struct Implicit {
  static constexpr bool kHot = true;
  static constexpr bool kIsFirst = true;
  template <class V, class... P>
  requires(math::Value<V>) ELBO_INLINE V operator()(const V& z, const P&...) const { return z; }
  template <int N, class S, class... P>
  requires(
      requires(const Dual<N, S>& x) { Law::implicit(x, P{}...); } ||
      requires(const Dual<N, S>& x) { Law::cdf(x, P{}...); }) ELBO_INLINE Dual<N, S>
  operator()(const Dual<N, S>& z, const P&... parameters) const {
    if constexpr (requires { Law::implicit(z, parameters...); }) {
      return Law::implicit(Dual<N, S>(z.value), parameters...);
    } else {
      const Dual<N, S> f = Law::cdf(Dual<N, S>(z.value), parameters...);
      const S density = exp(Law::log_prob(z.value, parameters.value...));
      return chain(f, z.value, select(density > 0.0, -1.0 / density, S(0.0)));
    }
  }
  template <class... P>
  at::Tensor operator()(const at::Tensor& z, const P&... parameters) const {
    if constexpr (requires { Law::implicit(z, parameters...); })
      return Law::implicit(z, parameters...);
    const auto f = Law::cdf(z, parameters...);
    return z - (f - f.detach()) / Law::log_prob(z, parameters...).detach().exp();
  }
};

[[noreturn]] inline void unsupported(const char* law, const char* method) {
  throw UnsupportedError(fmt::format("{}: no {} in closed form", law, method));
}

/// Whether `value` lies in `range`, elementwise; and the words for it.
at::Tensor in_range(const at::Tensor& value, Range range);
const char* words(Range range);

}  // namespace detail

template <class Self, class Law>
Univariate<Self, Law>::Univariate(std::array<at::Tensor, kArity> parameters, Validate validate)
    : DistributionBase<Self>({}, {}), parameters_(std::move(parameters)) {
  auto type = parameters_[0].scalar_type();
  for (const auto& p : parameters_) type = at::promoteTypes(type, p.scalar_type());
  if (!at::isFloatingType(type)) type = at::kFloat;
  std::vector<int64_t> shape;
  for (auto& p : parameters_) {
    if (p.scalar_type() != type) p = p.to(type);
    shape = detail::broadcast_shape(Law::kName, shape, p.sizes());
  }
  this->set_batch_shape(shape);
  if (validate == Validate::kNo) return;
  for (size_t i = 0; i < kArity; ++i)
    detail::check_parameter(Law::kName, Law::kParameters[i].name,
                            detail::words(Law::kParameters[i].range), parameters_[i],
                            detail::in_range(parameters_[i], Law::kParameters[i].range));
  if constexpr (detail::kHas<detail::Valid<Law>, kArity>) {
    const auto ok = std::apply([](const auto&... p) { return Law::valid(p...); }, parameters_);
    detail::check_together(Law::kName, Law::kRequirement, ok);
  }
}

/// The functor at (first, parameters...), or at (parameters...), broadcast to the batch.
#define ELBO_WITH_ARGUMENT(Functor, first)                                          \
  if constexpr (detail::kHas<detail::Functor<Law>, kArity + 1>) {                   \
    std::vector<at::Tensor> arguments = {(first).to(parameters_[0].scalar_type())}; \
    arguments.insert(arguments.end(), parameters_.begin(), parameters_.end());      \
    return evaluate(formula<detail::Functor<Law>, kArity + 1>(), arguments);        \
  }
#define ELBO_OF_PARAMETERS(Functor, what)                                 \
  if constexpr (detail::kHas<detail::Functor<Law>, kArity>) {             \
    return evaluate(formula<detail::Functor<Law>, kArity>(), parameters_) \
        .expand(this->batch_shape());                                     \
  } else {                                                                \
    detail::unsupported(Law::kName, what);                                \
  }

template <class Self, class Law>
at::Tensor Univariate<Self, Law>::log_prob(const at::Tensor& x) const {
  ELBO_WITH_ARGUMENT(LogProb, x)
}
template <class Self, class Law>
at::Tensor Univariate<Self, Law>::cdf(const at::Tensor& x) const {
  ELBO_WITH_ARGUMENT(Cdf, x) else detail::unsupported(Law::kName, "cdf");
}
template <class Self, class Law>
at::Tensor Univariate<Self, Law>::log_cdf(const at::Tensor& x) const {
  ELBO_WITH_ARGUMENT(LogCdf, x) else return cdf(x).log();
}
template <class Self, class Law>
at::Tensor Univariate<Self, Law>::log_survival(const at::Tensor& x) const {
  ELBO_WITH_ARGUMENT(LogSurvival, x) else return (-cdf(x)).log1p();
}
template <class Self, class Law>
at::Tensor Univariate<Self, Law>::icdf(const at::Tensor& u) const {
  ELBO_WITH_ARGUMENT(Icdf, u) else detail::unsupported(Law::kName, "icdf");
}
template <class Self, class Law>
at::Tensor Univariate<Self, Law>::entropy() const {
  ELBO_OF_PARAMETERS(Entropy, "entropy")
}
template <class Self, class Law>
at::Tensor Univariate<Self, Law>::mean() const {
  ELBO_OF_PARAMETERS(Mean, "mean")
}
template <class Self, class Law>
at::Tensor Univariate<Self, Law>::variance() const {
  ELBO_OF_PARAMETERS(Variance, "variance")
}
template <class Self, class Law>
at::Tensor Univariate<Self, Law>::mode() const {
  ELBO_OF_PARAMETERS(Mode, "mode")
}
#undef ELBO_WITH_ARGUMENT
#undef ELBO_OF_PARAMETERS

template <class Self, class Law>
Constraint Univariate<Self, Law>::support() const {
  at::Tensor lower, upper;
  if constexpr (detail::kHas<detail::Lower<Law>, kArity>)
    lower = evaluate(formula<detail::Lower<Law>, kArity>(), parameters_);
  if constexpr (detail::kHas<detail::Upper<Law>, kArity>)
    upper = evaluate(formula<detail::Upper<Law>, kArity>(), parameters_);
  return {Law::kSupport, lower, upper};
}

template <class Self, class Law>
bool Univariate<Self, Law>::is_discrete() const {
  return detail::kDiscrete<Law>;
}

template <class Self, class Law>
bool Univariate<Self, Law>::has_rsample() const {
  return !detail::kDiscrete<Law> && (detail::kHas<detail::Draw<Law>, kArity + 1> ||
                                     detail::kHas<detail::Cdf<Law>, kArity + 1>);
}

template <class Self, class Law>
at::Tensor Univariate<Self, Law>::from_noise(const Noise& noise, at::IntArrayRef shape) const {
  if constexpr (detail::kHas<detail::Draw<Law>, kArity + 1>) {
    const auto options = parameters_[0].options().dtype(at::kDouble).requires_grad(false);
    const auto full = this->extended_shape(shape);
    std::vector<at::Tensor> arguments = {detail::kFromNormal<Law> ? noise.normal(full, options)
                                                                  : noise.uniform(full, options)};
    arguments.insert(arguments.end(), parameters_.begin(), parameters_.end());
    return evaluate(formula<detail::Draw<Law>, kArity + 1, true>(), arguments);
  }
  detail::unsupported(Law::kName, "draw");
}

template <class Self, class Law>
at::Tensor Univariate<Self, Law>::sample(const Noise& noise, at::IntArrayRef shape) const {
  const at::NoGradGuard no_grad;
  if constexpr (detail::kHas<detail::Draw<Law>, kArity + 1>) {
    using Numbers = Noise::Numbers;
    return noise.draw(formula<detail::Draw<Law>, kArity + 1, true>(),
                      detail::kFromNormal<Law> ? Numbers::kNormal : Numbers::kUniform,
                      this->extended_shape(shape), parameters_);
  } else if constexpr (detail::kSamples<Law>) {
    const auto full = this->extended_shape(shape);
    at::Tensor z;
    if constexpr (detail::kSamplesPacks<Law>)
      z = noise.draw(pack_sampler<Law>(), full, parameters_);
    else
      z = noise.draw(Law::sample, full, parameters_);
    if constexpr (detail::kInside<Law> == Inside::kAnywhere) return z;
    const Bounds held = detail::bounds_of<Law>(z.scalar_type());
    return z.clamp_(held.lower, held.upper);
  } else {
    detail::unsupported(Law::kName, "sample");
  }
}

template <class Self, class Law>
at::Tensor Univariate<Self, Law>::rsample(const Noise& noise, at::IntArrayRef shape) const {
  if constexpr (detail::kDiscrete<Law>) {
    detail::unsupported(Law::kName, "rsample");
  } else if constexpr (detail::kHas<detail::Draw<Law>, kArity + 1> && !detail::kHasImplicit<Law>) {
    return from_noise(noise, shape);
  } else if constexpr (detail::kHas<detail::Cdf<Law>, kArity + 1>) {
    std::vector<at::Tensor> arguments = {sample(noise, shape)};
    arguments.insert(arguments.end(), parameters_.begin(), parameters_.end());
    return evaluate(formula<detail::Implicit<Law>, kArity + 1>(), arguments);
  } else {
    detail::unsupported(Law::kName, "rsample");
  }
}

template <class Self, class Law>
DistributionPtr Univariate<Self, Law>::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<Self>(static_cast<const Self&>(*this));
  for (auto& p : static_cast<Univariate&>(*out).parameters_) p = p.expand(batch_shape);
  static_cast<Univariate&>(*out).set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
