#include "elbo/distributions/relaxed_one_hot_categorical.h"

#include <ATen/ATen.h>

#include <cmath>

#include "distributions/detail/vectors.h"

namespace elbo {
namespace {
constexpr const char* kName = "RelaxedOneHotCategorical";
}

RelaxedOneHotCategorical::RelaxedOneHotCategorical(FromLogProbs, at::Tensor temperature,
                                                   const at::Tensor& log_probs, at::ScalarType type,
                                                   Validate validate)
    : DistributionBase(detail::broadcast_shape(kName, temperature.sizes(),
                                               detail::batch_of(kName, "probs", log_probs, 1)),
                       detail::event_of(kName, "probs", log_probs, 1)),
      log_probs_(log_probs) {
  type = at::promoteTypes(type, temperature.scalar_type());
  temperature_ = temperature.to(at::isFloatingType(type) ? type : at::kFloat);
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "temperature", "> 0", temperature_, temperature_ > 0);
}

RelaxedOneHotCategorical::RelaxedOneHotCategorical(at::Tensor temperature, const at::Tensor& probs,
                                                   Validate validate)
    : RelaxedOneHotCategorical(FromLogProbs{}, std::move(temperature),
                               detail::log_of_probs(kName, probs, validate), probs.scalar_type(),
                               validate) {
  if (validate == Validate::kYes) detail::check_parameter(kName, "probs", "> 0", probs, probs > 0);
}

RelaxedOneHotCategorical RelaxedOneHotCategorical::from_logits(at::Tensor temperature,
                                                               const at::Tensor& logits,
                                                               Validate validate) {
  if (validate == Validate::kYes)
    detail::check_parameter(kName, "logits", "finite", logits, logits.isfinite());
  return {FromLogProbs{}, std::move(temperature), detail::log_of_logits(kName, logits, validate),
          logits.scalar_type(), validate};
}

at::Tensor RelaxedOneHotCategorical::probs() const {
  return log_probs_.exp().to(temperature_.scalar_type());
}

at::Tensor RelaxedOneHotCategorical::rsample_log(const Noise& noise, at::IntArrayRef shape) const {
  const auto u = noise.uniform(extended_shape(shape), log_probs_.options().requires_grad(false));
  const auto gumbel = -(-u.log()).log();
  return at::log_softmax((log_probs_ + gumbel) / detail::wide(temperature_).unsqueeze(-1), -1)
      .to(temperature_.scalar_type());
}

at::Tensor RelaxedOneHotCategorical::rsample(const Noise& noise, at::IntArrayRef shape) const {
  return detail::positive(detail::wide(rsample_log(noise, shape)).exp(),
                          temperature_.scalar_type());
}

at::Tensor RelaxedOneHotCategorical::density_of_log(const at::Tensor& y) const {
  const auto temperature = detail::wide(temperature_);
  const auto k = static_cast<double>(log_probs_.size(-1));
  const auto scores = log_probs_ - temperature.unsqueeze(-1) * y;
  return at::log_softmax(scores, -1).sum(-1) + (k - 1) * temperature.log() + std::lgamma(k);
}

at::Tensor RelaxedOneHotCategorical::log_prob_of_log(const at::Tensor& y) const {
  detail::check_event(kName, y, event_shape());
  return density_of_log(detail::wide(y)).to(temperature_.scalar_type());
}

at::Tensor RelaxedOneHotCategorical::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const auto given = detail::wide(x);
  const auto ok = detail::on_simplex(given).logical_and((given > 0).all(-1));
  const auto safe =
      detail::or_filler(ok, given, at::ones({}, given.options().requires_grad(false)), 1);
  const auto y = safe.log();
  return detail::or_impossible(ok, density_of_log(y) - y.sum(-1)).to(temperature_.scalar_type());
}

DistributionPtr RelaxedOneHotCategorical::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<RelaxedOneHotCategorical>(*this);
  out->temperature_ = temperature_.expand(batch_shape);
  out->log_probs_ = detail::expand_batch(log_probs_, batch_shape, 1);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
