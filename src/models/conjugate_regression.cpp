#include "elbo/models/conjugate_regression.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numbers>

#include "elbo/error.h"

namespace elbo {
namespace {

double log_det(const at::Tensor& positive_definite) {
  return 2 * at::linalg_cholesky(positive_definite).diagonal().log().sum().item<double>();
}

}  // namespace

ConjugateRegression::ConjugateRegression(const at::Tensor& design, const at::Tensor& y,
                                         double prior_scale, double noise_scale)
    : prior_scale_(prior_scale), noise_scale_(noise_scale) {
  if (design.dim() != 2 || y.dim() != 1 || design.size(0) != y.size(0))
    throw ShapeError(fmt::format("ConjugateRegression: design [{}], y [{}]; expected [N, P], [N]",
                                 fmt::join(design.sizes(), ", "), fmt::join(y.sizes(), ", ")));
  if (!(prior_scale > 0) || !(noise_scale > 0))
    throw ConfigError(
        fmt::format("ConjugateRegression: prior_scale = {}, noise_scale = {}; expected > 0",
                    prior_scale, noise_scale));
  design_ = design.detach().to(at::kDouble);
  y_ = y.detach().to(at::kDouble);
  const double noise_precision = 1 / (noise_scale * noise_scale);
  const double prior_precision = 1 / (prior_scale * prior_scale);
  const auto n = static_cast<double>(design.size(0)), p = static_cast<double>(design.size(1));
  precision_ = noise_precision * design_.t().matmul(design_) +
               prior_precision * at::eye(design.size(1), design_.options());
  const auto root = at::linalg_cholesky(precision_);
  mean_ = at::cholesky_solve((noise_precision * design_.t().mv(y_)).unsqueeze(1), root).squeeze(1);
  const double misfit = (y_ - design_.mv(mean_)).square().sum().item<double>();
  const double size = mean_.square().sum().item<double>();
  log_evidence_ =
      -0.5 * (n * std::log(2 * std::numbers::pi / noise_precision) - p * std::log(prior_precision) +
              log_det(precision_) + noise_precision * misfit + prior_precision * size);
}

at::Tensor ConjugateRegression::covariance() const { return at::linalg_inv(precision_); }

double ConjugateRegression::elbo(const at::Tensor& mean, const at::Tensor& covariance) const {
  const auto m = mean.detach().to(at::kDouble), s = covariance.detach().to(at::kDouble);
  const auto n = static_cast<double>(y_.size(0)), p = static_cast<double>(m.size(0));
  const double squares = (y_ - design_.mv(m)).square().sum().item<double>() +
                         (design_.matmul(s) * design_).sum().item<double>();
  const double log_likelihood =
      -0.5 * (n * std::log(2 * std::numbers::pi * noise_scale_ * noise_scale_) +
              squares / (noise_scale_ * noise_scale_));
  const double moments = (m.square().sum() + s.trace()).item<double>();
  const double kl = 0.5 * (moments / (prior_scale_ * prior_scale_) - p +
                           2 * p * std::log(prior_scale_) - log_det(s));
  return log_likelihood - kl;
}

}  // namespace elbo
