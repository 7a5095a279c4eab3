#include "elbo/distributions/normal.h"

#include <ATen/ATen.h>

#include "elbo/kernels/elementwise.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

using math::square;

constexpr double kHalfLogTwoPi = 0.91893853320467274178;

struct LogDensity {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& x, const T& loc, const T& scale) const {
    using math::log;
    return -0.5 * square((x - loc) / scale) - log(scale) - kHalfLogTwoPi;
  }
  template <class T>
  ELBO_INLINE T operator()(const T& x, const T& loc, const T& scale, const T& log_scale) const {
    return -0.5 * square((x - loc) / scale) - log_scale - kHalfLogTwoPi;
  }
};

}  // namespace

Normal::Normal(at::Tensor loc, at::Tensor scale, at::Tensor log_scale)
    : DistributionBase(detail::broadcast_shape("Normal", loc.sizes(), scale.sizes()), {}),
      loc_(std::move(loc)),
      scale_(std::move(scale)),
      log_scale_(std::move(log_scale)) {}

Normal::Normal(at::Tensor loc, at::Tensor scale, Validate validate)
    : Normal(std::move(loc), std::move(scale), at::Tensor()) {
  if (validate == Validate::kNo) return;
  detail::check_parameter("Normal", "loc", "finite", loc_, loc_.isfinite());
  detail::check_parameter("Normal", "scale", "> 0", scale_, scale_ > 0);
}

Normal Normal::from_log_var(at::Tensor mu, const at::Tensor& log_var) {
  auto log_scale = 0.5 * log_var;
  auto scale = log_scale.exp();
  return Normal(std::move(mu), std::move(scale), std::move(log_scale));
}

Normal Normal::standard(at::IntArrayRef shape, const at::TensorOptions& options) {
  const auto zero = at::zeros({}, options).expand(shape);
  return Normal(zero, at::ones({}, options).expand(shape), zero);
}

at::Tensor Normal::log_scale() const { return log_scale_.defined() ? log_scale_ : scale_.log(); }

at::Tensor Normal::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto epsilon = noise.normal(extended_shape(shape), loc_.options());
  return at::addcmul(loc_, scale_, epsilon);  // z = mu + sigma * epsilon (AEVB 2.4)
}

at::Tensor Normal::log_prob(const at::Tensor& x) const {
  const auto y = x.to(loc_.scalar_type());
  if (log_scale_.defined())
    return evaluate(formula<LogDensity, 4>(), {y, loc_, scale_, log_scale_});
  return evaluate(formula<LogDensity, 3>(), {y, loc_, scale_});
}

at::Tensor Normal::cdf(const at::Tensor& x) const { return math::ndtr((x - loc_) / scale_); }

at::Tensor Normal::log_cdf(const at::Tensor& x) const {
  return math::log_ndtr((x - loc_) / scale_);
}

at::Tensor Normal::log_survival(const at::Tensor& x) const {
  return math::log_ndtr((loc_ - x) / scale_);
}

at::Tensor Normal::icdf(const at::Tensor& u) const { return loc_ + scale_ * at::special_ndtri(u); }

at::Tensor Normal::entropy() const {
  return (0.5 + kHalfLogTwoPi + log_scale()).expand(batch_shape());
}
at::Tensor Normal::mean() const { return loc_.expand(batch_shape()); }
at::Tensor Normal::variance() const { return scale_.square().expand(batch_shape()); }

at::Tensor Normal::mode() const { return mean(); }
Constraint Normal::support() const { return Constraint::Kind::kReal; }

DistributionPtr Normal::expand(at::IntArrayRef batch_shape) const {
  return std::shared_ptr<Normal>(
      new Normal(loc_.expand(batch_shape), scale_.expand(batch_shape),
                 log_scale_.defined() ? log_scale_.expand(batch_shape) : log_scale_));
}

}  // namespace elbo
