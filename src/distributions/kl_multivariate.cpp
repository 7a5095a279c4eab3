#include <set>
#include <typeinfo>

#include "distributions/detail/kl_pairs.h"
#include "distributions/detail/vectors.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/dirichlet.h"
#include "elbo/distributions/lkj_cholesky.h"
#include "elbo/distributions/low_rank_multivariate_normal.h"
#include "elbo/distributions/multinomial.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/transformed_distribution.h"
#include "elbo/distributions/wishart.h"

namespace elbo {
namespace {

using at::Tensor;
using detail::gamma_excess;
using detail::or_infinite;
using detail::wide;

/// Of the common dtype of `like` and the batch shape of both.
template <class Q, class P>
Tensor finished(const Tensor& kl, const Q& q, const P& p, const Tensor& q_like,
                const Tensor& p_like) {
  return detail::expanded(kl.to(c10::promoteTypes(q_like.scalar_type(), p_like.scalar_type())), q,
                          p);
}

template <class Q, class P>
void check_events(const Q& q, const P& p) {
  if (q.event_shape() != p.event_shape())
    throw ShapeError("kl_divergence: " + q.name() + " and " + p.name() +
                     " have events of different shapes");
}

Tensor sum_of_squares(const Tensor& matrices) { return matrices.square().sum({-2, -1}); }

// ---- Normal laws over vectors, in float64

struct Full {
  Tensor loc, tril;
  [[nodiscard]] Tensor half_log_det() const { return detail::log_det(tril); }
  /// |L^-1 A|^2, the trace of S^-1 A A^T
  [[nodiscard]] Tensor trace(const Tensor& a) const {
    return sum_of_squares(at::linalg_solve_triangular(tril, a, /*upper=*/false));
  }
};

struct LowRank {
  Tensor loc, factor, diag, capacitance;
  LowRank(Tensor loc_, Tensor factor_, Tensor diag_)
      : loc(std::move(loc_)), factor(std::move(factor_)), diag(std::move(diag_)) {
    const auto scaled = factor.transpose(-2, -1).matmul(factor / diag.unsqueeze(-1));
    const auto identity = at::eye(factor.size(-1), factor.options().requires_grad(false));
    capacitance = std::get<0>(at::linalg_cholesky_ex(scaled + identity));
  }
  [[nodiscard]] Tensor half_log_det() const {
    return detail::log_det(capacitance) + 0.5 * diag.log().sum(-1);
  }
  /// With m the mean of the hidden coordinates given a column x of A, x^T S^-1 x is
  /// |x - W m|^2_(D^-1) + |m|^2: a sum, where Woodbury's difference cancels.
  [[nodiscard]] Tensor trace(const Tensor& a) const {
    const auto projected = factor.transpose(-2, -1).matmul(a / diag.unsqueeze(-1));
    const auto hidden = detail::inverse_of_product(capacitance).matmul(projected);
    const auto rest = a - factor.matmul(hidden);
    return (rest.square() / diag.unsqueeze(-1)).sum({-2, -1}) + sum_of_squares(hidden);
  }
  /// The same of A = diag(v)^(1/2), by Woodbury's: no d x d matrix.
  [[nodiscard]] Tensor trace_of_diagonal(const Tensor& v) const {
    const auto rows = at::linalg_solve_triangular(
        capacitance, (factor / diag.unsqueeze(-1)).transpose(-2, -1), /*upper=*/false);
    return (v / diag).sum(-1) - (rows.square() * v.unsqueeze(-2)).sum({-2, -1});
  }
};

/// Independent coordinates.
struct Diagonal {
  Tensor loc, scale;
  [[nodiscard]] Tensor half_log_det() const { return scale.log().sum(-1); }
  [[nodiscard]] Tensor trace(const Tensor& a) const {
    return sum_of_squares(a / scale.unsqueeze(-1));
  }
};

Full view(const MultivariateNormal& law) { return {wide(law.loc()), wide(law.scale_tril())}; }
LowRank view(const LowRankMultivariateNormal& law) {
  return {wide(law.loc()), wide(law.cov_factor()), wide(law.cov_diag())};
}
Diagonal diagonal_view(const Normal& law) {
  return {wide(law.loc()).expand(law.batch_shape()), wide(law.scale()).expand(law.batch_shape())};
}

Full view(const Normal& law) {
  const auto [loc, scale] = diagonal_view(law);
  return {loc, at::diag_embed(scale)};
}

Tensor trace(const Full& q, const Full& p) { return p.trace(q.tril); }
Tensor trace(const Full& q, const LowRank& p) { return p.trace(q.tril); }
Tensor trace(const LowRank& q, const Full& p) {
  return p.trace(q.factor) + p.trace(at::diag_embed(q.diag.sqrt()));
}
Tensor trace(const LowRank& q, const LowRank& p) {
  return p.trace(q.factor) + p.trace_of_diagonal(q.diag);
}
Tensor trace(const Full& q, const Diagonal& p) { return p.trace(q.tril); }
Tensor trace(const LowRank& q, const Diagonal& p) {  // no d x d matrix, for d may be a network's
  return p.trace(q.factor) + (q.diag / p.scale.square()).sum(-1);
}

template <class Q, class P>
Tensor kl_of_normals(const Q& q, const P& p) {
  const auto shift = (q.loc - p.loc).unsqueeze(-1);
  const auto dim = static_cast<double>(q.loc.size(-1));
  return 0.5 * (trace(q, p) - dim + p.trace(shift)) + p.half_log_det() - q.half_log_det();
}

template <class Q, class P>
void add_normals() {
  register_kl<Q, P>(+[](const Q& q, const P& p) {
    check_events(q, p);
    return finished(kl_of_normals(view(q), view(p)), q, p, q.loc(), p.loc());
  });
}

/// The normal law that `law` has along one dimension, if that is what it is.
const Normal* vector_of_normals(const Independent& law) {
  return law.reinterpreted() == 1 ? dynamic_cast<const Normal*>(law.base().get()) : nullptr;
}
template <class P>
void add_independent() {
  register_kl<Independent, P>(+[](const Independent& q, const P& p) {
    const auto* base = vector_of_normals(q);
    if (base == nullptr) return Tensor();
    check_events(q, p);
    return finished(kl_of_normals(view(*base), view(p)), q, p, base->loc(), p.loc());
  });
  register_kl<P, Independent>(+[](const P& q, const Independent& p) {
    const auto* base = vector_of_normals(p);
    if (base == nullptr) return Tensor();
    check_events(q, p);
    return finished(kl_of_normals(view(q), diagonal_view(*base)), q, p, q.loc(), base->loc());
  });
}

// ---- Others

Tensor kl_dirichlets(const Dirichlet& q, const Dirichlet& p) {
  check_events(q, p);
  const auto a = wide(q.concentration()), b = wide(p.concentration());
  return finished(gamma_excess(b, a).sum(-1) - gamma_excess(b.sum(-1), a.sum(-1)), q, p,
                  q.concentration(), p.concentration());
}

Tensor kl_wisharts(const Wishart& q, const Wishart& p) {
  check_events(q, p);
  const auto q_df = wide(q.df()), p_df = wide(p.df());
  const auto d = q.event_shape()[0];
  const auto ratio = at::linalg_solve_triangular(wide(p.scale_tril()), wide(q.scale_tril()),
                                                 /*upper=*/false);
  const auto half = 0.5 * at::arange(d, q_df.options().requires_grad(false));
  const auto normalisers =
      gamma_excess(0.5 * p_df.unsqueeze(-1) - half, 0.5 * q_df.unsqueeze(-1) - half).sum(-1);
  const auto kl = normalisers - p_df * detail::log_det(ratio) +
                  0.5 * q_df * (sum_of_squares(ratio) - static_cast<double>(d));
  return finished(kl, q, p, q.scale_tril(), p.scale_tril());
}

// The rows' directions have one law, the squared lengths are betas.
Tensor kl_lkj(const LKJCholesky& q, const LKJCholesky& p) {
  check_events(q, p);
  const auto m = at::arange(1, q.dim(), wide(q.concentration()).options().requires_grad(false));
  const auto rest = 0.5 * (static_cast<double>(q.dim() - 1) - m);
  const auto of = [&](const LKJCholesky& law) {
    return wide(law.concentration()).unsqueeze(-1) + rest;
  };
  return finished(detail::kl_of_betas(0.5 * m, of(q), 0.5 * m, of(p)).sum(-1), q, p,
                  q.concentration(), p.concentration());
}

Tensor kl_multinomials(const Multinomial& q, const Multinomial& p) {
  check_events(q, p);
  const auto one = kl_divergence(Categorical::from_logits(wide(q.logits())),
                                 Categorical::from_logits(wide(p.logits())));
  const auto kl = q.total_count() == p.total_count() ? static_cast<double>(q.total_count()) * one
                                                     : at::full_like(one, INFINITY);
  return finished(kl, q, p, q.logits(), p.logits());
}

/// The same object, or of a kind that has no parameters.
bool same(const Bijection& a, const Bijection& b) {
  static const std::set<std::string> kinds = {"Exp",           "Softplus", "Sigmoid",     "Tanh",
                                              "StickBreaking", "Ordered",  "CorrCholesky"};
  return &a == &b || (typeid(a) == typeid(b) && a.name() == b.name() && kinds.contains(a.name()));
}

// One-to-one maps do not change KL.
Tensor kl_transformed(const TransformedDistribution& q, const TransformedDistribution& p) {
  const auto &f = q.bijections(), &g = p.bijections();
  const bool equal = std::equal(f.begin(), f.end(), g.begin(), g.end(),
                                [](const auto& a, const auto& b) { return same(*a, *b); });
  if (!equal || q.event_shape() != p.event_shape() ||
      q.base()->event_shape() != p.base()->event_shape())
    return {};
  const auto kl = try_kl_divergence(*q.base(), *p.base());
  if (!kl) return {};
  // Dimensions of the bases' batch that are the event's here.
  const auto batch = detail::batch_shape_of(*q.base(), *p.base());
  const auto kept = detail::batch_shape_of(q, p).size();
  return kept < batch.size() ? kl->expand(batch).flatten(static_cast<int64_t>(kept)).sum(-1) : *kl;
}

}  // namespace

void detail::register_multivariate_kl() {
  add_normals<MultivariateNormal, MultivariateNormal>();
  add_normals<MultivariateNormal, LowRankMultivariateNormal>();
  add_normals<LowRankMultivariateNormal, MultivariateNormal>();
  add_normals<LowRankMultivariateNormal, LowRankMultivariateNormal>();
  add_independent<MultivariateNormal>();
  add_independent<LowRankMultivariateNormal>();
  register_kl(kl_dirichlets);
  register_kl(kl_wisharts);
  register_kl(kl_lkj);
  register_kl(kl_multinomials);
  register_kl(kl_transformed);
}

}  // namespace elbo
