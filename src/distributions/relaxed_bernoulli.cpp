#include "elbo/distributions/relaxed_bernoulli.h"

#include <ATen/ATen.h>

#include <limits>

#include "distributions/detail/vectors.h"

namespace elbo {
namespace {

constexpr const char* kName = "RelaxedBernoulli";

at::Tensor log_odds(const at::Tensor& p) { return p.log() - (-p).log1p(); }

at::Tensor logits_of(const at::Tensor& probs, Validate validate) {
  if (validate == Validate::kYes)
    detail::check_parameter(kName, "probs", "in (0, 1)", probs, (probs > 0).logical_and(probs < 1));
  return log_odds(detail::wide(probs));
}

/// x where it is in (0, 1), else 1/2.
at::Tensor inside(const at::Tensor& ok, const at::Tensor& x) {
  return detail::or_filler(ok, x, at::full({}, 0.5, x.options().requires_grad(false)), 0);
}

}  // namespace

RelaxedBernoulli::RelaxedBernoulli(FromLogits, at::Tensor temperature, const at::Tensor& logits,
                                   at::ScalarType type, Validate validate)
    : DistributionBase(detail::broadcast_shape(kName, temperature.sizes(), logits.sizes()), {}),
      logits_(detail::wide(logits)) {
  type = at::promoteTypes(type, temperature.scalar_type());
  temperature_ = temperature.to(at::isFloatingType(type) ? type : at::kFloat);
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "temperature", "> 0", temperature_, temperature_ > 0);
  detail::check_parameter(kName, "logits", "finite", logits_, logits_.isfinite());
}

RelaxedBernoulli::RelaxedBernoulli(at::Tensor temperature, const at::Tensor& probs,
                                   Validate validate)
    : RelaxedBernoulli(FromLogits{}, std::move(temperature), logits_of(probs, validate),
                       probs.scalar_type(), validate) {}

RelaxedBernoulli RelaxedBernoulli::from_logits(at::Tensor temperature, const at::Tensor& logits,
                                               Validate validate) {
  return {FromLogits{}, std::move(temperature), logits, logits.scalar_type(), validate};
}

at::Tensor RelaxedBernoulli::probs() const {
  return logits_.sigmoid().to(temperature_.scalar_type());
}

at::Tensor RelaxedBernoulli::standardised(const at::Tensor& y) const {
  return detail::wide(temperature_) * y - logits_;
}

at::Tensor RelaxedBernoulli::rsample_logit(const Noise& noise, at::IntArrayRef shape) const {
  const auto u = noise.uniform(extended_shape(shape), logits_.options().requires_grad(false));
  return ((logits_ + log_odds(u)) / detail::wide(temperature_)).to(temperature_.scalar_type());
}

at::Tensor RelaxedBernoulli::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto type = temperature_.scalar_type();
  const double below_one =
      1 - 0.5 * (type == at::kDouble ? std::numeric_limits<double>::epsilon()
                                     : static_cast<double>(std::numeric_limits<float>::epsilon()));
  const auto y = detail::wide(rsample_logit(noise, shape));
  return detail::positive(y.sigmoid(), type).clamp_max(below_one);
}

at::Tensor RelaxedBernoulli::log_prob_of_logit(const at::Tensor& y) const {
  const auto t = standardised(detail::wide(y));
  return (detail::wide(temperature_).log() + at::log_sigmoid(t) + at::log_sigmoid(-t))
      .to(temperature_.scalar_type());
}

at::Tensor RelaxedBernoulli::log_prob(const at::Tensor& x) const {
  const auto given = detail::wide(x);
  const auto ok = (given > 0).logical_and(given < 1);
  const auto safe = inside(ok, given);
  const auto t = standardised(log_odds(safe));
  const auto log_density = detail::wide(temperature_).log() + at::log_sigmoid(t) +
                           at::log_sigmoid(-t) - safe.log() - (-safe).log1p();
  return detail::or_impossible(ok, log_density).to(temperature_.scalar_type());
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
  return ((logits_ + log_odds(detail::wide(u))) / detail::wide(temperature_))
      .sigmoid()
      .to(temperature_.scalar_type());
}

DistributionPtr RelaxedBernoulli::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<RelaxedBernoulli>(*this);
  out->temperature_ = temperature_.expand(batch_shape);
  out->logits_ = logits_.expand(batch_shape);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
