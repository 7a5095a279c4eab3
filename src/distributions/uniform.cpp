#include "elbo/distributions/uniform.h"

#include <ATen/ATen.h>

#include <limits>

namespace elbo {

Uniform::Uniform(at::Tensor low, at::Tensor high, Validate validate)
    : DistributionBase(detail::broadcast_shape("Uniform", low.sizes(), high.sizes()), {}),
      low_(std::move(low)),
      high_(std::move(high)) {
  if (validate == Validate::kYes)
    detail::check_parameter("Uniform", "high - low", "> 0", high_ - low_, high_ > low_);
}

at::Tensor Uniform::rsample(const Noise& noise, at::IntArrayRef shape) const {
  return icdf(noise.uniform(extended_shape(shape), low_.options()));
}

at::Tensor Uniform::log_prob(const at::Tensor& x) const {
  const auto inside = (x >= low_).logical_and(x < high_);
  const auto outside = at::full({}, -std::numeric_limits<double>::infinity(), low_.options());
  return at::where(inside, -(high_ - low_).log(), outside);
}

at::Tensor Uniform::cdf(const at::Tensor& x) const {
  return ((x - low_) / (high_ - low_)).clamp(0, 1);
}
at::Tensor Uniform::icdf(const at::Tensor& u) const { return low_ + (high_ - low_) * u; }
at::Tensor Uniform::entropy() const { return (high_ - low_).log(); }
at::Tensor Uniform::mean() const { return 0.5 * (low_ + high_); }
at::Tensor Uniform::variance() const { return (high_ - low_).square() / 12; }

Constraint Uniform::support() const { return {Constraint::Kind::kInterval, low_, high_}; }

DistributionPtr Uniform::expand(at::IntArrayRef batch_shape) const {
  return std::make_shared<Uniform>(low_.expand(batch_shape), high_.expand(batch_shape),
                                   Validate::kNo);
}

}  // namespace elbo
