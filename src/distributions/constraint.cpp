#include "elbo/distributions/constraint.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "elbo/error.h"

namespace elbo {
namespace {

using Kind = Constraint::Kind;

constexpr std::array<std::pair<Kind, const char*>, 18> kNames = {{
    {Kind::kReal, "real"},
    {Kind::kPositive, "positive"},
    {Kind::kNonNegative, "nonnegative"},
    {Kind::kUnitInterval, "unit interval"},
    {Kind::kInterval, "interval"},
    {Kind::kAtLeast, "at least"},
    {Kind::kBinary, "binary"},
    {Kind::kCount, "count"},
    {Kind::kPositiveCount, "positive count"},
    {Kind::kIntegerInterval, "integer interval"},
    {Kind::kRealVector, "real vector"},
    {Kind::kSimplex, "simplex"},
    {Kind::kOneHot, "one-hot"},
    {Kind::kCounts, "counts"},
    {Kind::kOrdered, "ordered"},
    {Kind::kPositiveDefinite, "positive definite"},
    {Kind::kLowerCholesky, "lower Cholesky"},
    {Kind::kCorrCholesky, "correlation Cholesky"},
}};

at::Tensor whole(const at::Tensor& x) { return x.isfinite().logical_and(x.eq(x.floor())); }

double tolerance(const at::Tensor& x) {
  if (x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16) return 1e-2;
  return x.scalar_type() == at::kDouble ? 1e-10 : 1e-5;
}

at::Tensor lower_triangular(const at::Tensor& x) {
  return x.isfinite()
      .logical_and(x.tril().eq(x))
      .flatten(-2)
      .all(-1)
      .logical_and(x.diagonal(0, -2, -1).gt(0).all(-1));
}

}  // namespace

int64_t Constraint::event_dims() const {
  switch (kind_) {
    case Kind::kRealVector:
    case Kind::kSimplex:
    case Kind::kOneHot:
    case Kind::kCounts:
    case Kind::kOrdered:
      return 1;
    case Kind::kPositiveDefinite:
    case Kind::kLowerCholesky:
    case Kind::kCorrCholesky:
      return 2;
    default:
      return 0;
  }
}

std::string Constraint::name() const {
  for (const auto& [kind, name] : kNames)
    if (kind == kind_) return name;
  throw ConfigError("unknown Constraint");
}

at::Tensor Constraint::check(const at::Tensor& x) const {
  if (x.dim() < event_dims())
    throw ShapeError(fmt::format("Constraint {}: x of shape [{}]; expected {} or more dimensions",
                                 name(), fmt::join(x.sizes(), ", "), event_dims()));
  const bool has_lower =
      kind_ == Kind::kInterval || kind_ == Kind::kAtLeast || kind_ == Kind::kIntegerInterval;
  const bool has_upper =
      kind_ == Kind::kInterval || kind_ == Kind::kIntegerInterval || kind_ == Kind::kCounts;
  if ((has_lower && !lower_.defined()) || (has_upper && !upper_.defined()))
    throw ConfigError("Constraint " + name() + ": a bound is missing");
  if (event_dims() == 2 && x.size(-1) != x.size(-2))
    throw ShapeError(fmt::format("Constraint {}: x of shape [{}]; expected square matrices", name(),
                                 fmt::join(x.sizes(), ", ")));
  switch (kind_) {
    case Kind::kReal:
      return x.isfinite();
    case Kind::kPositive:
      return x > 0;
    case Kind::kNonNegative:
      return x >= 0;
    case Kind::kUnitInterval:
      return x.ge(0).logical_and(x.le(1));
    case Kind::kInterval:
      return x.ge(lower_).logical_and(x.le(upper_));
    case Kind::kAtLeast:
      return x.ge(lower_);
    case Kind::kBinary:
      return x.eq(0).logical_or(x.eq(1));
    case Kind::kCount:
      return x.ge(0).logical_and(whole(x));
    case Kind::kPositiveCount:
      return x.ge(1).logical_and(whole(x));
    case Kind::kIntegerInterval:
      return x.ge(lower_).logical_and(x.le(upper_)).logical_and(whole(x));
    case Kind::kRealVector:
      return x.isfinite().all(-1);
    case Kind::kSimplex:
      return x.ge(0).all(-1).logical_and((x.sum(-1) - 1).abs().le(tolerance(x)));
    case Kind::kOneHot:
      return x.eq(0).logical_or(x.eq(1)).all(-1).logical_and(x.sum(-1).eq(1));
    case Kind::kCounts:
      return x.ge(0).logical_and(whole(x)).all(-1).logical_and(x.sum(-1).eq(upper_));
    case Kind::kOrdered:
      return x.isfinite().all(-1).logical_and(x.diff(1, -1).gt(0).all(-1));
    case Kind::kPositiveDefinite: {
      // Asymmetric by rounding at most, which grows with the matrix.
      const auto size = x.abs().amax({-2, -1}, /*keepdim=*/true).clamp_min(1);
      return x.sub(x.mT())
          .abs()
          .le(tolerance(x) * size)
          .flatten(-2)
          .all(-1)
          .logical_and(std::get<1>(at::linalg_cholesky_ex(x)).eq(0));
    }
    case Kind::kLowerCholesky:
      return lower_triangular(x);
    case Kind::kCorrCholesky:
      return lower_triangular(x).logical_and(
          (x.square().sum(-1) - 1).abs().le(tolerance(x)).all(-1));
  }
  throw ConfigError("unknown Constraint");
}

}  // namespace elbo
