#include "elbo/distributions/elliptical.h"

#include <ATen/ATen.h>

#include "distributions/detail/vectors.h"
#include "elbo/kernels/math.h"

namespace elbo {

using math::kHalfLogTwoPi;

at::Tensor Radial::entropy(int64_t) const {
  throw UnsupportedError("Radial: no entropy in closed form");
}

at::Tensor NormalRadial::rsample(const Noise& noise, at::IntArrayRef shape, int64_t dim,
                                 const at::TensorOptions& options) const {
  const auto half = at::full({}, 0.5 * static_cast<double>(dim), options);
  return (2 * detail::log_gamma_draws(noise, shape, half).exp()).sqrt();
}

at::Tensor NormalRadial::log_density(const at::Tensor& squared, int64_t dim) const {
  return -0.5 * squared - kHalfLogTwoPi * static_cast<double>(dim);
}

at::Tensor NormalRadial::second_moment(int64_t) const { return at::ones({}, at::kDouble); }

at::Tensor NormalRadial::entropy(int64_t dim) const {
  return at::full({}, (0.5 + kHalfLogTwoPi) * static_cast<double>(dim), at::kDouble);
}

RadialPtr NormalRadial::expand(at::IntArrayRef) const { return std::make_shared<NormalRadial>(); }

Elliptical::Elliptical(at::Tensor loc, at::Tensor scale_tril, RadialPtr radial, Validate validate)
    : Elliptical("Elliptical", std::move(loc), std::move(scale_tril), std::move(radial), validate) {
}

Elliptical::Elliptical(const std::string& law, at::Tensor loc, at::Tensor scale_tril,
                       RadialPtr radial, Validate validate)
    : DistributionBase({}, detail::event_of(law, "loc", loc, 1)),
      loc_(std::move(loc)),
      scale_tril_(std::move(scale_tril)),
      radial_(std::move(radial)) {
  if (radial_ == nullptr) throw ConfigError(law + ": radial = nullptr; expected a Radial");
  detail::unify({&loc_, &scale_tril_});
  detail::check_square(law, "scale_tril", scale_tril_, loc_.size(-1));
  const auto batch = detail::broadcast_shape(law, detail::batch_of(law, "loc", loc_, 1),
                                             detail::batch_of(law, "scale_tril", scale_tril_, 2));
  set_batch_shape(detail::broadcast_shape(law, batch, radial_->batch_shape()));
  if (validate == Validate::kNo) return;
  detail::check_parameter(law, "loc", "finite", loc_, loc_.isfinite());
  detail::check_scale_tril(law, scale_tril_);
}

at::Tensor Elliptical::covariance_matrix() const {
  const auto lower = detail::wide(scale_tril_);
  const auto moment = radial_->second_moment(loc_.size(-1)).to(lower.device());
  const auto covariance =
      moment.unsqueeze(-1).unsqueeze(-1) * lower.matmul(lower.transpose(-2, -1));
  return detail::expand_batch(covariance.to(loc_.scalar_type()), batch_shape(), 2);
}

at::Tensor Elliptical::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto options = loc_.options().requires_grad(false);
  auto full = extended_shape(shape);
  const auto direction = noise.site("direction").normal(full, options);
  full.pop_back();
  const auto radius =
      radial_->rsample(noise.site("radius"), full, loc_.size(-1), options.dtype(at::kDouble));
  const auto length = direction.square().sum(-1).sqrt();
  const auto spherical = direction * (radius.to(loc_.scalar_type()) / length).unsqueeze(-1);
  return loc_ + detail::times(scale_tril_, spherical);
}

at::Tensor Elliptical::log_prob(const at::Tensor& x) const {
  detail::check_event(name(), x, event_shape());
  const auto squared = detail::squared_distance(x, loc_, scale_tril_);
  return (radial_->log_density(squared, loc_.size(-1)) - detail::log_det(detail::wide(scale_tril_)))
      .to(loc_.scalar_type());
}

at::Tensor Elliptical::entropy() const {
  const auto scale = detail::log_det(detail::wide(scale_tril_));
  return (radial_->entropy(loc_.size(-1)).to(scale.device()) + scale)
      .to(loc_.scalar_type())
      .expand(batch_shape());
}

at::Tensor Elliptical::mean() const { return detail::expand_batch(loc_, batch_shape(), 1); }

at::Tensor Elliptical::variance() const {
  const auto squares = detail::wide(scale_tril_).square().sum(-1);
  const auto moment = radial_->second_moment(loc_.size(-1)).to(squares.device());
  return detail::expand_batch((moment.unsqueeze(-1) * squares).to(loc_.scalar_type()),
                              batch_shape(), 1);
}

void Elliptical::expand_to(at::IntArrayRef batch_shape) {
  loc_ = detail::expand_batch(loc_, batch_shape, 1);
  scale_tril_ = detail::expand_batch(scale_tril_, batch_shape, 2);
  radial_ = radial_->expand(batch_shape);
  set_batch_shape(batch_shape.vec());
}

DistributionPtr Elliptical::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<Elliptical>(*this);
  out->expand_to(batch_shape);
  return out;
}

}  // namespace elbo
