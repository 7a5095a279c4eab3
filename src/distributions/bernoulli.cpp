#include "elbo/distributions/bernoulli.h"

#include <ATen/ATen.h>

#include "elbo/kernels/likelihood.h"

namespace elbo {

Bernoulli::Bernoulli(FromLogits, at::Tensor logits)
    : DistributionBase(logits.sizes().vec(), {}), logits_(std::move(logits)) {}

Bernoulli::Bernoulli(const at::Tensor& probs, Validate validate)
    : Bernoulli(FromLogits{}, probs.log() - (-probs).log1p()) {
  if (validate == Validate::kYes)
    detail::check_parameter("Bernoulli", "probs", "in [0, 1]", probs,
                            probs.ge(0).logical_and(probs.le(1)));
}

Bernoulli Bernoulli::from_logits(at::Tensor logits) {
  return Bernoulli(FromLogits{}, std::move(logits));
}

at::Tensor Bernoulli::probs() const { return logits_.sigmoid(); }

at::Tensor Bernoulli::sample(const Noise& noise, at::IntArrayRef shape) const {
  const at::NoGradGuard no_grad;
  return noise.bernoulli(probs().expand(extended_shape(shape)).contiguous());
}

at::Tensor Bernoulli::log_prob(const at::Tensor& x) const {
  // Finite logits: x l - log(1 + e^l), written with log_sigmoid, which is exact in both tails.
  // Infinite ones (probs 0 or 1): 0 * inf must be 0.
  const auto finite = logits_.clamp(-1e30, 1e30);
  return x * finite + at::log_sigmoid(-finite);
}

at::Tensor Bernoulli::log_prob_sum(const at::Tensor& x, int64_t event_dims) const {
  if (event_dims == 1) return bernoulli_log_prob_sum(logits_, x);
  return DistributionBase::log_prob_sum(x, event_dims);
}

at::Tensor Bernoulli::cdf(const at::Tensor& x) const {
  const auto below = at::zeros({}, logits_.options());
  const auto above = at::ones({}, logits_.options());
  return at::where(x < 0, below, at::where(x < 1, at::sigmoid(-logits_), above));
}

at::Tensor Bernoulli::entropy() const {
  const auto p = probs();
  return -(at::xlogy(p, p) + at::xlogy(1 - p, 1 - p));
}

at::Tensor Bernoulli::variance() const { return probs() * at::sigmoid(-logits_); }

at::Tensor Bernoulli::mode() const { return logits_.ge(0).to(logits_.scalar_type()); }
Constraint Bernoulli::support() const { return Constraint::Kind::kBinary; }

DistributionPtr Bernoulli::expand(at::IntArrayRef batch_shape) const {
  return std::shared_ptr<Bernoulli>(new Bernoulli(FromLogits{}, logits_.expand(batch_shape)));
}

}  // namespace elbo
