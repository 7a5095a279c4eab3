#include "elbo/distributions/low_rank_multivariate_normal.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "distributions/detail/vectors.h"

namespace elbo {
namespace {

constexpr const char* kName = "LowRankMultivariateNormal";
constexpr double kHalfLogTwoPi = 0.91893853320467274178;

/// The factor of I + W^T D^-1 W, the precision of the r hidden coordinates given an event.
at::Tensor capacitance_tril(const at::Tensor& factor, const at::Tensor& diag) {
  const auto scaled = factor.transpose(-2, -1).matmul(factor / diag.unsqueeze(-1));
  const auto identity = at::eye(factor.size(-1), factor.options().requires_grad(false));
  return std::get<0>(at::linalg_cholesky_ex(scaled + identity));
}

at::Tensor half_log_det_covariance(const at::Tensor& capacitance, const at::Tensor& diag) {
  return detail::log_det(capacitance) + 0.5 * diag.log().sum(-1);
}

}  // namespace

LowRankMultivariateNormal::LowRankMultivariateNormal(at::Tensor loc, at::Tensor cov_factor,
                                                     at::Tensor cov_diag, Validate validate)
    : DistributionBase({}, detail::event_of(kName, "loc", loc, 1)),
      loc_(std::move(loc)),
      cov_factor_(std::move(cov_factor)),
      cov_diag_(std::move(cov_diag)) {
  detail::unify({&loc_, &cov_factor_, &cov_diag_});
  auto batch = detail::broadcast_shape(kName, detail::batch_of(kName, "loc", loc_, 1),
                                       detail::batch_of(kName, "cov_factor", cov_factor_, 2));
  batch = detail::broadcast_shape(kName, batch, detail::batch_of(kName, "cov_diag", cov_diag_, 1));
  const int64_t dim = loc_.size(-1);
  if (cov_factor_.size(-2) != dim)
    throw ShapeError(fmt::format("{}: cov_factor has shape [{}]; expected [.., {}, rank]", kName,
                                 fmt::join(cov_factor_.sizes(), ", "), dim));
  if (cov_diag_.size(-1) != dim)
    throw ShapeError(fmt::format("{}: cov_diag has shape [{}]; expected [.., {}]", kName,
                                 fmt::join(cov_diag_.sizes(), ", "), dim));
  set_batch_shape(batch);
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "loc", "finite", loc_, loc_.isfinite());
  detail::check_parameter(kName, "cov_factor", "finite", cov_factor_, cov_factor_.isfinite());
  detail::check_parameter(kName, "cov_diag", "> 0", cov_diag_, cov_diag_ > 0);
}

at::Tensor LowRankMultivariateNormal::covariance_matrix() const {
  const auto covariance =
      cov_factor_.matmul(cov_factor_.transpose(-2, -1)) + at::diag_embed(cov_diag_);
  return detail::expand_batch(covariance, batch_shape(), 2);
}

at::Tensor LowRankMultivariateNormal::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto options = loc_.options().requires_grad(false);
  auto full = extended_shape(shape);
  const auto of_diagonal = noise.site("diagonal").normal(full, options);
  full.back() = cov_factor_.size(-1);
  const auto of_factor = noise.site("factor").normal(full, options);
  return loc_ + detail::times(cov_factor_, of_factor) + cov_diag_.sqrt() * of_diagonal;
}

at::Tensor LowRankMultivariateNormal::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const auto factor = detail::wide(cov_factor_), diag = detail::wide(cov_diag_);
  const auto centred = detail::wide(x) - detail::wide(loc_);
  const auto capacitance = capacitance_tril(factor, diag);
  // With m the posterior mean of the hidden coordinates the Mahalanobis distance is
  // |x - W m|^2_(D^-1) + |m|^2: a sum, where Woodbury's difference cancels for a small D.
  const auto projected = detail::times(factor.transpose(-2, -1), centred / diag);
  const auto inverse = detail::inverse_of_product(capacitance);
  const auto hidden = detail::times(inverse, projected);
  const auto rest = centred - detail::times(factor, hidden);
  const auto distance = (rest.square() / diag).sum(-1) + hidden.square().sum(-1);
  const auto normaliser = half_log_det_covariance(capacitance, diag) +
                          kHalfLogTwoPi * static_cast<double>(loc_.size(-1));
  return (-0.5 * distance - normaliser).to(loc_.scalar_type());
}

at::Tensor LowRankMultivariateNormal::entropy() const {
  const auto factor = detail::wide(cov_factor_), diag = detail::wide(cov_diag_);
  const auto of_standard = (0.5 + kHalfLogTwoPi) * static_cast<double>(loc_.size(-1));
  return (of_standard + half_log_det_covariance(capacitance_tril(factor, diag), diag))
      .to(loc_.scalar_type())
      .expand(batch_shape());
}

at::Tensor LowRankMultivariateNormal::mean() const {
  return detail::expand_batch(loc_, batch_shape(), 1);
}

at::Tensor LowRankMultivariateNormal::variance() const {
  return detail::expand_batch(cov_factor_.square().sum(-1) + cov_diag_, batch_shape(), 1);
}

DistributionPtr LowRankMultivariateNormal::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<LowRankMultivariateNormal>(*this);
  out->loc_ = detail::expand_batch(loc_, batch_shape, 1);
  out->cov_factor_ = detail::expand_batch(cov_factor_, batch_shape, 2);
  out->cov_diag_ = detail::expand_batch(cov_diag_, batch_shape, 1);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
