#include "elbo/distributions/lkj_cholesky.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "distributions/detail/vectors.h"

namespace elbo {
namespace {

constexpr const char* kName = "LKJCholesky";

/// The Beta laws of the squared lengths of rows 1 .. dim - 1: a [dim - 1] and b [B, dim - 1].
struct Rows {
  at::Tensor a, b;
  Rows(const at::Tensor& concentration, int64_t dim) {
    const auto eta = detail::wide(concentration);
    a = 0.5 * at::arange(1, dim, eta.options().requires_grad(false));
    b = eta.unsqueeze(-1) + 0.5 * static_cast<double>(dim - 1) - a;
  }
  /// Of the rows' ball: pi^a Gamma(b) / Gamma(a + b).
  [[nodiscard]] at::Tensor log_normaliser() const {
    return (std::log(std::numbers::pi) * a - detail::log_gamma_ratio(b, a)).sum(-1);
  }
};

/// Rows 1 .. dim - 1 of length dim, the diagonal among them, below a first row `corner`, 0, 0, ..
at::Tensor assemble(const at::Tensor& below, const at::Tensor& diagonal, double corner) {
  const int64_t dim = below.size(-1);
  const auto rows = below + at::diag_embed(diagonal, 1).narrow(-2, 0, dim - 1);
  auto shape = rows.sizes().vec();
  shape[shape.size() - 2] = 1;
  const auto first = corner * at::eye(1, dim, rows.options().requires_grad(false));
  return at::cat({first.expand(shape), rows}, -2);
}

}  // namespace

LKJCholesky::LKJCholesky(int64_t dim, at::Tensor concentration, Validate validate)
    : DistributionBase(concentration.sizes().vec(), {dim, dim}),
      concentration_(std::move(concentration)) {
  if (dim < 2) throw DomainError(fmt::format("{}: dim must be >= 2, got {}", kName, dim));
  detail::unify({&concentration_});
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "concentration", "> 0", concentration_, concentration_ > 0);
}

at::Tensor LKJCholesky::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const Rows rows(concentration_, dim());
  auto full = extended_shape(shape);
  const auto normal = noise.site("direction")
                          .normal(full, concentration_.options().requires_grad(false))
                          .tril(-1)
                          .narrow(-2, 1, dim() - 1);
  full.pop_back();
  full.back() = dim() - 1;
  const auto numerator = detail::log_gamma_draws(noise.site("length"), full, rows.a);
  const auto rest = detail::log_gamma_draws(noise.site("rest"), full, rows.b);
  // y = G_a / (G_a + G_b) of Beta(a, b): both its root and that of 1 - y are exact.
  const auto length = (0.5 * at::log_sigmoid(numerator - rest)).exp();
  const auto type = concentration_.scalar_type();
  const auto diagonal = detail::positive((0.5 * at::log_sigmoid(rest - numerator)).exp(), type);
  const auto scale = length.to(type) / normal.square().sum(-1).sqrt();
  const auto below = scale.unsqueeze(-1) * normal;
  return assemble(below, diagonal, 1);
}

at::Tensor LKJCholesky::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const Rows rows(concentration_, dim());
  const auto diagonal = detail::wide(x.diagonal(0, -2, -1));
  const auto given = x.detach();
  const auto ok = given.eq(given.tril())
                      .flatten(-2)
                      .all(-1)
                      .logical_and((diagonal > 0).all(-1))
                      .logical_and((given.square().sum(-1) - 1).abs().le(1e-5).all(-1));
  const auto one = at::ones({}, diagonal.options().requires_grad(false));
  const auto logs = detail::or_filler(ok, diagonal, one, 1).log().narrow(-1, 1, dim() - 1);
  const auto log_density = ((2 * rows.b - 2) * logs).sum(-1) - rows.log_normaliser();
  return detail::or_impossible(ok, log_density).to(concentration_.scalar_type());
}

at::Tensor LKJCholesky::entropy() const {
  const Rows rows(concentration_, dim());
  // L_mm^2 ~ Beta(b, a), whence E[2 log L_mm] = digamma(b) - digamma(a + b).
  const auto log_diagonal = -detail::digamma_ratio(rows.b, rows.a);
  return (rows.log_normaliser() - ((rows.b - 1) * log_diagonal).sum(-1))
      .to(concentration_.scalar_type());
}

at::Tensor LKJCholesky::mean() const {
  const Rows rows(concentration_, dim());
  const auto half = at::full({}, 0.5, rows.a.options());
  const auto log_diagonal =
      detail::log_gamma_ratio(rows.b, half) - detail::log_gamma_ratio(rows.a + rows.b, half);
  const auto below = at::zeros({dim() - 1, dim()}, rows.a.options());
  return assemble(below, log_diagonal.exp(), 1).to(concentration_.scalar_type());
}

at::Tensor LKJCholesky::variance() const {
  const Rows rows(concentration_, dim());
  const auto sum = rows.a + rows.b;
  const auto of_diagonal =
      rows.b / sum - mean().diagonal(0, -2, -1).narrow(-1, 1, dim() - 1).square();
  // E[y] = a / (a + b), shared by the row's 2 a entries.
  const auto of_below =
      (0.5 / sum).unsqueeze(-1) * at::ones({dim(), dim()}, sum.options().requires_grad(false))
                                      .tril(-1)
                                      .narrow(-2, 1, dim() - 1);
  return assemble(of_below, of_diagonal, 0).to(concentration_.scalar_type());
}

DistributionPtr LKJCholesky::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<LKJCholesky>(*this);
  out->concentration_ = concentration_.expand(batch_shape);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
