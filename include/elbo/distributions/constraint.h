// The sets that parameters and events lie in.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace elbo {

/// A set of tensors, with bounds where its kind has them.
class Constraint {
 public:
  enum class Kind {
    kReal,              ///< the finite numbers
    kPositive,          ///< x > 0
    kNonNegative,       ///< x >= 0
    kUnitInterval,      ///< 0 <= x <= 1
    kInterval,          ///< lower <= x <= upper
    kAtLeast,           ///< x >= lower
    kBinary,            ///< 0 or 1
    kCount,             ///< 0, 1, 2, …
    kPositiveCount,     ///< 1, 2, 3, …
    kIntegerInterval,   ///< whole, lower <= x <= upper
    kRealVector,        ///< finite vectors
    kSimplex,           ///< vectors >= 0 that sum to 1
    kOneHot,            ///< vectors of zeros and a single 1
    kCounts,            ///< vectors of counts that sum to `upper`
    kOrdered,           ///< increasing vectors
    kPositiveDefinite,  ///< symmetric matrices with positive eigenvalues
    kLowerCholesky,     ///< lower triangular matrices with a positive diagonal
    kCorrCholesky,      ///< of those, the ones with rows of length 1
  };

  Constraint(Kind kind) : kind_(kind) {}  // NOLINT: a kind without bounds is a constraint
  Constraint(Kind kind, at::Tensor lower, at::Tensor upper = {})
      : kind_(kind), lower_(std::move(lower)), upper_(std::move(upper)) {}

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const at::Tensor& lower() const { return lower_; }
  [[nodiscard]] const at::Tensor& upper() const { return upper_; }
  /// Dimensions that one element of the set has: 0, 1 or 2.
  [[nodiscard]] int64_t event_dims() const;
  /// Whether each element of `x` belongs; of x's shape without the event dimensions. NaN never
  /// does.
  /// **Throws** ShapeError where x has too few dimensions or matrices that are not square;
  /// ConfigError where a kind with bounds was made without them.
  [[nodiscard]] at::Tensor check(const at::Tensor& x) const;
  /// "positive", "interval", …
  [[nodiscard]] std::string name() const;

 private:
  Kind kind_;
  at::Tensor lower_, upper_;
};

}  // namespace elbo
