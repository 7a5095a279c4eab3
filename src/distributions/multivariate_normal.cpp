#include "elbo/distributions/multivariate_normal.h"

#include <ATen/ATen.h>

#include "distributions/detail/laws_and_rows.h"
#include "distributions/detail/vectors.h"
#include "elbo/kernels/gaussian_rows.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

using math::kHalfLogTwoPi;

constexpr const char* kName = "MultivariateNormal";

}  // namespace

MultivariateNormal::MultivariateNormal(at::Tensor loc, at::Tensor scale_tril, Validate validate)
    : DistributionBase({}, detail::event_of(kName, "loc", loc, 1)),
      loc_(std::move(loc)),
      scale_tril_(std::move(scale_tril)) {
  detail::unify({&loc_, &scale_tril_});
  detail::check_square(kName, "scale_tril", scale_tril_, loc_.size(-1));
  set_batch_shape(detail::broadcast_shape(kName, detail::batch_of(kName, "loc", loc_, 1),
                                          detail::batch_of(kName, "scale_tril", scale_tril_, 2)));
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "loc", "finite", loc_, loc_.isfinite());
  detail::check_scale_tril(kName, scale_tril_);
}

MultivariateNormal MultivariateNormal::from_covariance(const at::Tensor& loc,
                                                       const at::Tensor& covariance_matrix,
                                                       Validate validate) {
  const auto factor = detail::cholesky(kName, "covariance_matrix", covariance_matrix, validate);
  return {loc, factor.to(covariance_matrix.scalar_type()), validate};
}

MultivariateNormal MultivariateNormal::from_precision(const at::Tensor& loc,
                                                      const at::Tensor& precision_matrix,
                                                      Validate validate) {
  const auto factor =
      detail::cholesky_of_inverse(kName, "precision_matrix", precision_matrix, validate);
  return {loc, factor.to(precision_matrix.scalar_type()), validate};
}

at::Tensor MultivariateNormal::covariance_matrix() const {
  return detail::expand_batch(scale_tril_.matmul(scale_tril_.transpose(-2, -1)), batch_shape(), 2);
}

at::Tensor MultivariateNormal::precision_matrix() const {
  const auto inverse = detail::inverse_of_product(detail::wide(scale_tril_));
  return detail::expand_batch(inverse.to(loc_.scalar_type()), batch_shape(), 2);
}

at::Tensor MultivariateNormal::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto epsilon = noise.normal(extended_shape(shape), loc_.options().requires_grad(false));
  return loc_ + detail::times(scale_tril_, epsilon);
}

at::Tensor MultivariateNormal::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const auto split =
      detail::laws_and_rows(kName, x, 1, {{loc_, 1}, {scale_tril_, 2}}, batch_shape());
  if (split.fits)  // by blocks of rows
    return split
        .whole(gaussian_log_densities(detail::wide(split.each_row(x, 1)),
                                      detail::wide(split.each_law(loc_, 1)),
                                      detail::wide(split.each_law(scale_tril_, 2))))
        .to(loc_.scalar_type());
  const auto distance = detail::squared_distance(x, loc_, scale_tril_);
  const auto normaliser = detail::log_det(detail::wide(scale_tril_)) +
                          kHalfLogTwoPi * static_cast<double>(loc_.size(-1));
  return (-0.5 * distance - normaliser).to(loc_.scalar_type());
}

at::Tensor MultivariateNormal::entropy() const {
  const auto of_standard = (0.5 + kHalfLogTwoPi) * static_cast<double>(loc_.size(-1));
  return (of_standard + detail::log_det(detail::wide(scale_tril_)))
      .to(loc_.scalar_type())
      .expand(batch_shape());
}

at::Tensor MultivariateNormal::mean() const { return detail::expand_batch(loc_, batch_shape(), 1); }

at::Tensor MultivariateNormal::variance() const {
  return detail::expand_batch(scale_tril_.square().sum(-1), batch_shape(), 1);
}

DistributionPtr MultivariateNormal::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<MultivariateNormal>(*this);
  out->loc_ = detail::expand_batch(loc_, batch_shape, 1);
  out->scale_tril_ = detail::expand_batch(scale_tril_, batch_shape, 2);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
