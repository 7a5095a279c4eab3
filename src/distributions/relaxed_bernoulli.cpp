#include "elbo/distributions/relaxed_bernoulli.h"

#include <ATen/ATen.h>

#include <limits>

#include "distributions/detail/vectors.h"
#include "elbo/kernels/elementwise.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

constexpr const char* kName = "RelaxedBernoulli";

at::Tensor log_odds(const at::Tensor& p) { return p.log() - (-p).log1p(); }

/// x where it is in (0, 1), else 1/2.
at::Tensor inside(const at::Tensor& ok, const at::Tensor& x) {
  return detail::or_filler(ok, x, at::full({}, 0.5, x.options().requires_grad(false)), 0);
}

/// The logit of what a law was given: probs or logits.
template <bool kOfLogits, class T>
ELBO_INLINE T logit_of(const T& given) {
  using namespace math;
  if constexpr (kOfLogits)
    return given;
  else
    return log(given / (1.0 - given));
}

template <bool kOfLogits>
struct Draw {
  static constexpr bool kHot = true;
  static constexpr Inside kInside = Inside::kUnitInterval;
  template <class T>
  ELBO_INLINE T operator()(const T& u, const T& temperature, const T& given) const {
    using namespace math;
    return sigmoid((logit_of<kOfLogits>(given) + log(u / (1.0 - u))) / temperature);
  }
};

/// A draw, whose logit moves as (logits + logit u) / temperature does.
template <bool kOfLogits>
struct Implicit {
  static constexpr bool kHot = true;
  static constexpr bool kIsFirst = true;
  template <class T>
  ELBO_INLINE T operator()(const T& z, const T& temperature, const T& given) const {
    using namespace math;
    // A logit but for a constant, which moves as the logit does.
    const T odds = given / (1.0 - given);
    const T logit = kOfLogits ? given : odds / constant(odds);
    const T noise = constant(temperature * log(z / (1.0 - z)) - logit);
    return with_slope(z, constant(z * (1.0 - z)) * ((logit + noise) / temperature));
  }
};

template <bool kOfLogits>
struct LogDensity {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& x, const T& temperature, const T& given) const {
    using namespace math;
    const T log_x = log(x), log_rest = log1p(-x);
    const T t = abs(temperature * (log_x - log_rest) - logit_of<kOfLogits>(given));
    const T density = log(temperature) - t - 2.0 * log1p(exp(-t)) - log_x - log_rest;
    return select((x <= 0.0) | (x >= 1.0), -std::numeric_limits<double>::infinity(), density);
  }
};

}  // namespace

RelaxedBernoulli::RelaxedBernoulli(FromLogits, at::Tensor temperature, at::Tensor logits,
                                   Validate validate)
    : RelaxedBernoulli(std::move(temperature), logits, Validate::kNo) {
  of_logits_ = true;
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "temperature", "> 0", temperature_, temperature_ > 0);
  detail::check_parameter(kName, "logits", "finite", given_, given_.isfinite());
}

RelaxedBernoulli::RelaxedBernoulli(at::Tensor temperature, const at::Tensor& probs,
                                   Validate validate)
    : DistributionBase(detail::broadcast_shape(kName, temperature.sizes(), probs.sizes()), {}),
      temperature_(std::move(temperature)),
      given_(probs) {
  detail::unify({&temperature_, &given_});
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "probs", "in (0, 1)", probs, (probs > 0).logical_and(probs < 1));
  detail::check_parameter(kName, "temperature", "> 0", temperature_, temperature_ > 0);
}

RelaxedBernoulli RelaxedBernoulli::from_logits(at::Tensor temperature, const at::Tensor& logits,
                                               Validate validate) {
  return {FromLogits{}, std::move(temperature), logits, validate};
}

at::Tensor RelaxedBernoulli::wide_logits() const {
  const auto given = detail::wide(given_);
  return of_logits_ ? given : log_odds(given);
}

at::Tensor RelaxedBernoulli::logits() const { return wide_logits().to(given_.scalar_type()); }

at::Tensor RelaxedBernoulli::probs() const { return of_logits_ ? given_.sigmoid() : given_; }

at::Tensor RelaxedBernoulli::standardised(const at::Tensor& y) const {
  return detail::wide(temperature_) * y - wide_logits();
}

at::Tensor RelaxedBernoulli::rsample_logit(const Noise& noise, at::IntArrayRef shape) const {
  const auto logits = wide_logits();
  const auto u = noise.uniform(extended_shape(shape), logits.options().requires_grad(false));
  return ((logits + log_odds(u)) / detail::wide(temperature_)).to(temperature_.scalar_type());
}

at::Tensor RelaxedBernoulli::rsample(const Noise& noise, at::IntArrayRef shape) const {
  at::Tensor z;
  {
    const at::NoGradGuard no_grad;
    z = noise.draw(of_logits_ ? formula<Draw<true>, 3, true>() : formula<Draw<false>, 3, true>(),
                   Noise::Numbers::kUniform, extended_shape(shape), {temperature_, given_});
  }
  return evaluate(of_logits_ ? formula<Implicit<true>, 3>() : formula<Implicit<false>, 3>(),
                  {z, temperature_, given_});
}

at::Tensor RelaxedBernoulli::log_prob(const at::Tensor& x) const {
  return evaluate(of_logits_ ? formula<LogDensity<true>, 3>() : formula<LogDensity<false>, 3>(),
                  {x.to(given_.scalar_type()), temperature_, given_});
}

at::Tensor RelaxedBernoulli::log_prob_of_logit(const at::Tensor& y) const {
  const auto t = standardised(detail::wide(y));
  return (detail::wide(temperature_).log() + at::log_sigmoid(t) + at::log_sigmoid(-t))
      .to(temperature_.scalar_type());
}

at::Tensor RelaxedBernoulli::cdf(const at::Tensor& x) const { return log_cdf(x).exp(); }

at::Tensor RelaxedBernoulli::log_cdf(const at::Tensor& x) const {
  const auto given = detail::wide(x);
  const auto t = standardised(log_odds(inside((given > 0).logical_and(given < 1), given)));
  const auto zero = at::zeros({}, t.options().requires_grad(false));
  return detail::or_impossible(given > 0, at::where(given >= 1, zero, at::log_sigmoid(t)))
      .to(temperature_.scalar_type());
}

at::Tensor RelaxedBernoulli::log_survival(const at::Tensor& x) const {
  const auto given = detail::wide(x);
  const auto t = standardised(log_odds(inside((given > 0).logical_and(given < 1), given)));
  const auto zero = at::zeros({}, t.options().requires_grad(false));
  return detail::or_impossible(given < 1, at::where(given <= 0, zero, at::log_sigmoid(-t)))
      .to(temperature_.scalar_type());
}

at::Tensor RelaxedBernoulli::icdf(const at::Tensor& u) const {
  return ((wide_logits() + log_odds(detail::wide(u))) / detail::wide(temperature_))
      .sigmoid()
      .to(temperature_.scalar_type());
}

DistributionPtr RelaxedBernoulli::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<RelaxedBernoulli>(*this);
  out->temperature_ = temperature_.expand(batch_shape);
  out->given_ = given_.expand(batch_shape);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
