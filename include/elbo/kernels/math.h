// The functions that formulas of distributions are written in, for every kind of argument: double
// and Pack (four doubles) for values, Dual of either for values with partial derivatives, and
// at::Tensor for the plain twin that other devices and derivatives of derivatives take.
//
// A formula is a template over its argument's type that names no type: constants are doubles,
// branches are `select(condition, a, b)`, and conditions combine by & and |. One that needs loops
// or branches on values is restricted to `math::Scalar` arguments.
#pragma once

#include <ATen/core/Tensor.h>

#include <type_traits>

#include "elbo/kernels/math_dual.h"
#include "elbo/kernels/math_scalar.h"

namespace elbo::math {

// ---- at::Tensor: what ATen has under the same name is found there by argument-dependent lookup

at::Tensor select(const at::Tensor& condition, const at::Tensor& a, const at::Tensor& b);
at::Tensor select(const at::Tensor& condition, const at::Tensor& a, double b);
at::Tensor select(const at::Tensor& condition, double a, const at::Tensor& b);
/// Call it as math::softplus: unqualified, ADL finds at::softplus too, which is cut off at 20.
at::Tensor softplus(const at::Tensor& x);
at::Tensor constant(const at::Tensor& x);
at::Tensor with_slope(const at::Tensor& z, const at::Tensor& t);
at::Tensor with_log_slope(const at::Tensor& z, const at::Tensor& t);
at::Tensor log1mexp(const at::Tensor& x);
at::Tensor xlog1py(const at::Tensor& x, const at::Tensor& y);
at::Tensor trigamma(const at::Tensor& x);
at::Tensor cot_pi(const at::Tensor& u);
at::Tensor log_product(const at::Tensor& a, const at::Tensor& b);
at::Tensor log_ratio(const at::Tensor& a, const at::Tensor& b);
at::Tensor lbeta(const at::Tensor& a, const at::Tensor& b);
at::Tensor ndtr(const at::Tensor& x);
at::Tensor log_ndtr(const at::Tensor& x);
at::Tensor ndtri(const at::Tensor& u);
at::Tensor log_i0(const at::Tensor& x);
at::Tensor i1_over_i0(const at::Tensor& x);

/// Functions that ATen does not have, or not with all derivatives: **Throws** UnsupportedError.
at::Tensor expint_e1_scaled(const at::Tensor& x);
at::Tensor gamma_draw(const at::Tensor& a, const at::Tensor& x);
at::Tensor gamma_p(const at::Tensor& a, const at::Tensor& x);
at::Tensor gamma_q(const at::Tensor& a, const at::Tensor& x);
at::Tensor log_gamma_p(const at::Tensor& a, const at::Tensor& x);
at::Tensor log_gamma_q(const at::Tensor& a, const at::Tensor& x);
at::Tensor gamma_p_inverse(const at::Tensor& a, const at::Tensor& u);
at::Tensor gamma_q_inverse(const at::Tensor& a, const at::Tensor& u);
at::Tensor beta_i(const at::Tensor& a, const at::Tensor& b, const at::Tensor& x);
at::Tensor beta_ic(const at::Tensor& a, const at::Tensor& b, const at::Tensor& x);
at::Tensor log_beta_i(const at::Tensor& a, const at::Tensor& b, const at::Tensor& x);
at::Tensor log_beta_ic(const at::Tensor& a, const at::Tensor& b, const at::Tensor& x);
at::Tensor beta_i_inverse(const at::Tensor& a, const at::Tensor& b, const at::Tensor& u);
at::Tensor beta_ic_inverse(const at::Tensor& a, const at::Tensor& b, const at::Tensor& u);

// ---- What formulas may be restricted to

template <class T>
inline constexpr bool kIsScalar = std::is_same_v<T, double>;
template <int N>
inline constexpr bool kIsScalar<Dual<N, double>> = true;
/// double, or its Dual: arguments on whose values a formula may branch.
template <class T>
concept Scalar = kIsScalar<T>;
/// Scalar, or a tensor: everything but packs, for formulas that have no vector form.
template <class T>
concept OneAtATime = Scalar<T> || std::is_same_v<T, at::Tensor>;

}  // namespace elbo::math

namespace elbo::laws {
using namespace math;
}
