// Differentiable one-to-one maps between sets of tensors, with the logarithm of their Jacobian.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/distributions/constraint.h"

namespace elbo {

class Bijection;
using BijectionPtr = std::shared_ptr<const Bijection>;

/// A one-to-one map x = f(u) of one set onto another.
///
/// **Shapes** u is S + the shape of one element of the domain, x is S + that of the codomain; S is
/// free, and the parameters of a bijection broadcast with it.
/// **Ranges** For finite u, `forward` gives an element of the codomain even where the exact value
/// rounds to a bound that does not belong: positive values stay at or above the smallest normal
/// number, those of sigmoid and tanh below 1. Such bounds have a gradient of 0.
class Bijection {
 public:
  virtual ~Bijection() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual Constraint domain() const = 0;
  [[nodiscard]] virtual Constraint codomain() const = 0;
  /// Dimensions of one element of the domain and of the codomain. They exceed those of the
  /// Constraint where a bijection acts on several of its elements together.
  [[nodiscard]] virtual int64_t event_dims_in() const { return domain().event_dims(); }
  [[nodiscard]] virtual int64_t event_dims_out() const { return codomain().event_dims(); }

  [[nodiscard]] virtual at::Tensor forward(const at::Tensor& u) const = 0;
  [[nodiscard]] virtual at::Tensor inverse(const at::Tensor& x) const = 0;
  /// log |det dx/du| at u and x = forward(u); of the shape S. Of a simplex all but the last
  /// coordinate count, of symmetric matrices the lower triangle, of correlation Cholesky factors
  /// what is strictly below the diagonal.
  [[nodiscard]] virtual at::Tensor log_abs_det_jacobian(const at::Tensor& u,
                                                        const at::Tensor& x) const = 0;

  /// Where a scalar bijection decreases, as a bool tensor; undefined if it increases everywhere.
  /// **Throws** UnsupportedError where elements are not scalars.
  [[nodiscard]] virtual at::Tensor decreasing() const;

  /// The shape of forward(u) for u of this shape, and of inverse(x).
  /// **Throws** ShapeError for shapes that no element has.
  [[nodiscard]] virtual std::vector<int64_t> forward_shape(at::IntArrayRef shape) const;
  [[nodiscard]] virtual std::vector<int64_t> inverse_shape(at::IntArrayRef shape) const;
};

namespace bijections {

/// Makes the diagonal of a Cholesky factor positive.
enum class Diagonal { kExp, kSoftplus };

/// x = u, of elements with `event_dims` dimensions.
[[nodiscard]] BijectionPtr identity(int64_t event_dims = 0);
/// x = e^u
[[nodiscard]] BijectionPtr exp();
/// x = log(1 + e^u)
[[nodiscard]] BijectionPtr softplus();
/// x = 1 / (1 + e^-u)
[[nodiscard]] BijectionPtr sigmoid();
/// x = tanh u
[[nodiscard]] BijectionPtr tanh();
/// x = loc + scale u, of elements with `event_dims` dimensions.
/// **Ranges** loc finite, scale finite and not 0; DomainError otherwise.
[[nodiscard]] BijectionPtr affine(at::Tensor loc, at::Tensor scale, int64_t event_dims = 0);
/// x = u^exponent of positive numbers. **Ranges** exponent not 0; DomainError otherwise.
[[nodiscard]] BijectionPtr power(at::Tensor exponent);
/// The numbers between two bounds: x = lower + (upper - lower) sigmoid(u).
/// **Ranges** lower < upper, both finite; DomainError otherwise.
[[nodiscard]] BijectionPtr interval(at::Tensor lower, at::Tensor upper);
/// x = lower + e^u. **Ranges** lower finite; DomainError otherwise.
[[nodiscard]] BijectionPtr at_least(at::Tensor lower);

/// Vectors [K - 1] to the simplex [K]: x_k = z_k (1 - z_1) ... (1 - z_(k-1)) with
/// z_k = sigmoid(u_k - log(K - k)), so that u = 0 gives equal parts. As in Stan and PyTorch.
[[nodiscard]] BijectionPtr stick_breaking();
/// Vectors to increasing ones: x_1 = u_1, x_k = x_(k-1) + e^(u_k). As in Stan.
[[nodiscard]] BijectionPtr ordered();
/// Vectors [D (D + 1) / 2] to lower triangular [D, D], row by row, with a positive diagonal. As in
/// Stan.
[[nodiscard]] BijectionPtr lower_cholesky(Diagonal diagonal = Diagonal::kExp);
/// Vectors [D (D - 1) / 2] to Cholesky factors [D, D] of correlation matrices, row by row:
/// x_ij = tanh(u_ij) prod_(k<j) sech(u_ik). As in Stan and PyTorch.
[[nodiscard]] BijectionPtr corr_cholesky();
/// Vectors [D (D + 1) / 2] to symmetric matrices L L^T, L as lower_cholesky makes it.
/// **Ranges** The result is positive definite to the precision of its dtype while the condition
/// number is below 1 / (D epsilon): no rounded matrix need be beyond that.
[[nodiscard]] BijectionPtr positive_definite(Diagonal diagonal = Diagonal::kExp);

/// The parts one after the other, the first first; none at all is the identity. Scalar parts act
/// on each coordinate of the others' elements.
[[nodiscard]] BijectionPtr compose(std::vector<BijectionPtr> parts);
/// The same map read from x to u.
[[nodiscard]] BijectionPtr inverse_of(BijectionPtr bijection);

}  // namespace bijections

/// The bijection from numbers or vectors without constraint onto a set; of the nonnegative numbers,
/// onto the positive ones.
/// **Throws** ConfigError for sets of whole numbers, onto which there is none.
[[nodiscard]] BijectionPtr biject_to(const Constraint& constraint);

}  // namespace elbo
