#include "elbo/distributions/low_rank_multivariate_normal.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "distributions/detail/vectors.h"
#include "elbo/kernels/eventwise.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

using math::kHalfLogTwoPi;

constexpr const char* kName = "LowRankMultivariateNormal";

/// The factor of I + W^T D^-1 W, the precision of the r hidden coordinates given an event.
at::Tensor capacitance_tril(const at::Tensor& factor, const at::Tensor& diag) {
  const auto scaled = factor.transpose(-2, -1).matmul(factor / diag.unsqueeze(-1));
  const auto identity = at::eye(factor.size(-1), factor.options().requires_grad(false));
  return std::get<0>(at::linalg_cholesky_ex(scaled + identity));
}

at::Tensor half_log_det_covariance(const at::Tensor& capacitance, const at::Tensor& diag) {
  return detail::log_det(capacitance) + 0.5 * diag.log().sum(-1);
}

/// The Mahalanobis distance |x - loc - W m|^2_(D^-1) + |m|^2, m the posterior mean of the hidden
/// coordinates: a sum, where Woodbury's difference cancels for a small D. Of (x, loc, W, D, M) with
/// M (x - loc) = m. As m is where it is least, it moves with x, loc, W and D as if m did not.
struct Distance {
  static constexpr std::array<int, 5> kEventDims = {1, 1, 2, 1, 2};

  template <class V>
  ELBO_INLINE static void hidden_and_rest(const V* const* in, int64_t d, int64_t r, V* hidden,
                                          V* rest) {
    const V *x = in[0], *loc = in[1], *factor = in[2], *to_hidden = in[4];
    for (int64_t j = 0; j < r; ++j) {
      hidden[j] = 0.0;
      for (int64_t i = 0; i < d; ++i)
        hidden[j] = hidden[j] + to_hidden[j * d + i] * (x[i] - loc[i]);
    }
    for (int64_t i = 0; i < d; ++i) {
      rest[i] = x[i] - loc[i];
      for (int64_t j = 0; j < r; ++j) rest[i] = rest[i] - factor[i * r + j] * hidden[j];
    }
  }
  template <class V>
  ELBO_INLINE static V value(const V* const* in, const int64_t* sizes, V* room) {
    const int64_t d = sizes[0], r = sizes[2] / d;
    V *rest = room, *hidden = room + d;
    hidden_and_rest(in, d, r, hidden, rest);
    V sum = 0.0;
    for (int64_t i = 0; i < d; ++i) sum = sum + rest[i] * rest[i] / in[3][i];
    for (int64_t j = 0; j < r; ++j) sum = sum + hidden[j] * hidden[j];
    return sum;
  }
  template <class V>
  ELBO_INLINE static void slopes(const V* const* in, const int64_t* sizes, V* room, V* const* out) {
    const int64_t d = sizes[0], r = sizes[2] / d;
    V *rest = room, *hidden = room + d;
    hidden_and_rest(in, d, r, hidden, rest);
    for (int64_t i = 0; i < d; ++i) {
      const V scaled = rest[i] / in[3][i];
      out[0][i] = 2.0 * scaled;
      out[1][i] = -2.0 * scaled;
      for (int64_t j = 0; j < r; ++j) out[2][i * r + j] = -2.0 * scaled * hidden[j];
      out[3][i] = -scaled * scaled;
    }
    for (int64_t k = 0; k < sizes[4]; ++k) out[4][k] = 0.0;
  }
  static at::Tensor twin(const at::Tensor* a) {
    const auto factor = detail::wide(a[2]), diag = detail::wide(a[3]);
    const auto centred = detail::wide(a[0]) - detail::wide(a[1]);
    const auto projected = detail::times(factor.transpose(-2, -1), centred / diag);
    const auto hidden =
        detail::times(detail::inverse_of_product(capacitance_tril(factor, diag)), projected);
    const auto rest = centred - detail::times(factor, hidden);
    return (rest.square() / diag).sum(-1) + hidden.square().sum(-1);
  }
};

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
  const auto capacitance = capacitance_tril(factor, diag);
  at::Tensor to_hidden;  // W, D to m; by which the distance does not change to first order
  {
    const at::NoGradGuard no_grad;
    to_hidden = detail::inverse_of_product(capacitance)
                    .matmul((factor / diag.unsqueeze(-1)).transpose(-2, -1))
                    .to(loc_.scalar_type());
  }
  const auto distance = evaluate(event_formula<Distance>(), {x.to(loc_.scalar_type()), loc_,
                                                             cov_factor_, cov_diag_, to_hidden});
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
