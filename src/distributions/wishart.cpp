#include "elbo/distributions/wishart.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "distributions/detail/vectors.h"

namespace elbo {
namespace {

constexpr const char* kName = "Wishart";

/// (df - i) / 2 for i = 0 .. d - 1, along a new last dimension.
at::Tensor halves(const at::Tensor& df, int64_t dim) {
  return 0.5 * (df.unsqueeze(-1) - at::arange(dim, df.options().requires_grad(false)));
}

/// log of the multivariate gamma function, from its halves
at::Tensor log_multigamma(const at::Tensor& halves) {
  const auto d = static_cast<double>(halves.size(-1));
  return halves.lgamma().sum(-1) + 0.25 * d * (d - 1) * std::log(std::numbers::pi);
}

}  // namespace

Wishart::Wishart(at::Tensor df, at::Tensor scale_tril, Validate validate)
    : DistributionBase({}, detail::event_of(kName, "scale_tril", scale_tril, 2)),
      df_(std::move(df)),
      scale_tril_(std::move(scale_tril)) {
  detail::unify({&df_, &scale_tril_});
  detail::check_square(kName, "scale_tril", scale_tril_, dim());
  set_batch_shape(detail::broadcast_shape(kName, df_.sizes(),
                                          detail::batch_of(kName, "scale_tril", scale_tril_, 2)));
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "df", fmt::format("> d - 1 = {}", dim() - 1).c_str(), df_,
                          df_ > dim() - 1);
  detail::check_scale_tril(kName, scale_tril_);
}

Wishart Wishart::from_covariance(const at::Tensor& df, const at::Tensor& covariance_matrix,
                                 Validate validate) {
  const auto factor = detail::cholesky(kName, "covariance_matrix", covariance_matrix, validate);
  return {df, factor.to(covariance_matrix.scalar_type()), validate};
}

Wishart Wishart::from_precision(const at::Tensor& df, const at::Tensor& precision_matrix,
                                Validate validate) {
  const auto factor =
      detail::cholesky_of_inverse(kName, "precision_matrix", precision_matrix, validate);
  return {df, factor.to(precision_matrix.scalar_type()), validate};
}

at::Tensor Wishart::covariance_matrix() const {
  return detail::expand_batch(scale_tril_.matmul(scale_tril_.transpose(-2, -1)), batch_shape(), 2);
}

at::Tensor Wishart::precision_matrix() const {
  const auto inverse = detail::inverse_of_product(detail::wide(scale_tril_));
  return detail::expand_batch(inverse.to(df_.scalar_type()), batch_shape(), 2);
}

at::Tensor Wishart::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto full = extended_shape(shape);
  const auto options = df_.options().dtype(at::kDouble).requires_grad(false);
  const auto below = noise.site("below").normal(full, options).tril(-1);
  const auto log_gammas = detail::log_gamma_draws(noise.site("diagonal"),
                                                  at::IntArrayRef(full).slice(0, full.size() - 1),
                                                  halves(detail::wide(df_), dim()));
  const auto diagonal = (2 * log_gammas.exp()).sqrt();
  const auto factor = detail::wide(scale_tril_).matmul(below + at::diag_embed(diagonal));
  const auto x = factor.matmul(factor.transpose(-2, -1));
  return (0.5 * (x + x.transpose(-2, -1))).to(df_.scalar_type());  // symmetric to the last bit
}

at::Tensor Wishart::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const auto given = detail::wide(x);
  const auto size = given.detach().abs().amax({-2, -1}, /*keepdim=*/true);
  const auto symmetric = (given - given.transpose(-2, -1)).abs().le(1e-5 * size);
  const auto info = std::get<1>(at::linalg_cholesky_ex(given.detach()));
  const auto ok = symmetric.flatten(-2).all(-1).logical_and(info.eq(0));
  const auto identity = at::eye(dim(), given.options().requires_grad(false));
  const auto factor =
      std::get<0>(at::linalg_cholesky_ex(detail::or_filler(ok, given, identity, 2)));
  const auto lower = detail::wide(scale_tril_);
  const auto df = detail::wide(df_);
  const auto d = static_cast<double>(dim());
  const auto white = at::linalg_solve_triangular(lower, factor, /*upper=*/false);
  const auto normaliser = df * (0.5 * d * std::numbers::ln2 + detail::log_det(lower)) +
                          log_multigamma(halves(df, dim()));
  const auto log_density = (df - d - 1) * detail::log_det(factor) -
                           0.5 * white.square().flatten(-2).sum(-1) - normaliser;
  return detail::or_impossible(ok, log_density).to(df_.scalar_type());
}

at::Tensor Wishart::entropy() const {
  const auto df = detail::wide(df_);
  const auto d = static_cast<double>(dim());
  const auto h = halves(df, dim());
  const auto scale = 0.5 * d * std::numbers::ln2 + detail::log_det(detail::wide(scale_tril_));
  const auto entropy =
      (d + 1) * scale + log_multigamma(h) - 0.5 * (df - d - 1) * h.digamma().sum(-1) + 0.5 * df * d;
  return entropy.to(df_.scalar_type()).expand(batch_shape());
}

at::Tensor Wishart::mean() const { return df_.unsqueeze(-1).unsqueeze(-1) * covariance_matrix(); }

at::Tensor Wishart::variance() const {
  const auto v = covariance_matrix();
  const auto diagonal = v.diagonal(0, -2, -1);
  return df_.unsqueeze(-1).unsqueeze(-1) *
         (v.square() + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2));
}

at::Tensor Wishart::mode() const {
  const auto excess = df_ - static_cast<double>(dim() + 1);
  const auto factor =
      at::where(excess >= 0, excess, at::full({}, NAN, excess.options().requires_grad(false)));
  return factor.unsqueeze(-1).unsqueeze(-1) * covariance_matrix();
}

DistributionPtr Wishart::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<Wishart>(*this);
  out->df_ = df_.expand(batch_shape);
  out->scale_tril_ = detail::expand_batch(scale_tril_, batch_shape, 2);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
