// Functions of duals, of doubles or packs, for formulas: see math.h.
#pragma once

#include "elbo/kernels/math_scalar.h"

namespace elbo::math {

template <int N, class S>
using D = const Dual<N, S>&;

/// The condition is bool, or PackMask.
template <class M, int N, class S>
ELBO_INLINE Dual<N, S> select(const M& condition, D<N, S> a, D<N, S> b) {
  Dual<N, S> out(select(condition, a.value, b.value));
  for (size_t i = 0; i < N; ++i) out.partial[i] = select(condition, a.partial[i], b.partial[i]);
  return out;
}
template <class M, int N, class S>
ELBO_INLINE Dual<N, S> select(const M& condition, D<N, S> a, double b) {
  return select(condition, a, Dual<N, S>(b));
}
template <class M, int N, class S>
ELBO_INLINE Dual<N, S> select(const M& condition, double a, D<N, S> b) {
  return select(condition, Dual<N, S>(a), b);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> maximum(D<N, S> a, D<N, S> b) {
  return select(a.value > b.value, a, b);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> minimum(D<N, S> a, D<N, S> b) {
  return select(a.value < b.value, a, b);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> abs(D<N, S> x) {
  return select(x.value < 0.0, -x, x);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> floor(D<N, S> x) {
  return Dual<N, S>(floor(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> square(D<N, S> x) {
  return chain(x, x.value * x.value, 2.0 * x.value);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> exp(D<N, S> x) {
  const S e = exp(x.value);
  return chain(x, e, e);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> expm1(D<N, S> x) {
  return chain(x, expm1(x.value), exp(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log(D<N, S> x) {
  return chain(x, log(x.value), 1.0 / x.value);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log1p(D<N, S> x) {
  return chain(x, log1p(x.value), 1.0 / (1.0 + x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_ratio(D<N, S> a, D<N, S> b) {
  return chain(a, b, log_ratio(a.value, b.value), 1.0 / a.value, -1.0 / b.value);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_product(D<N, S> a, D<N, S> b) {
  return chain(a, b, log_product(a.value, b.value), 1.0 / a.value, 1.0 / b.value);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> sqrt(D<N, S> x) {
  const S root = sqrt(x.value);
  return chain(x, root, 0.5 / root);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> pow(D<N, S> x, D<N, S> y) {
  const S p = pow(x.value, y.value);
  const S dx = select(y.value == 0.0, S(0.0), y.value * pow(x.value, y.value - 1.0));
  return chain(x, y, p, dx, select(p == 0.0, S(0.0), p * log(x.value)));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> pow(D<N, S> x, double y) {
  return chain(x, pow(x.value, S(y)), y * pow(x.value, S(y - 1)));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> sin(D<N, S> x) {
  return chain(x, sin(x.value), cos(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> cos(D<N, S> x) {
  return chain(x, cos(x.value), -sin(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> tan(D<N, S> x) {
  const S t = tan(x.value);
  return chain(x, t, 1.0 + t * t);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> cot_pi(D<N, S> u) {
  const S c = cot_pi(u.value);
  return chain(u, c, -std::numbers::pi * (1.0 + c * c));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> atan(D<N, S> x) {
  return chain(x, atan(x.value), 1.0 / (1.0 + x.value * x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> tanh(D<N, S> x) {
  const S t = tanh(x.value);
  return chain(x, t, 1.0 - t * t);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> erf(D<N, S> x) {
  return chain(x, erf(x.value), 2.0 * std::numbers::inv_sqrtpi * exp(-x.value * x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> erfc(D<N, S> x) {
  return chain(x, erfc(x.value), -2.0 * std::numbers::inv_sqrtpi * exp(-x.value * x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> softplus(D<N, S> x) {
  return chain(x, softplus(x.value), sigmoid(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> sigmoid(D<N, S> x) {
  const S s = sigmoid(x.value);
  return chain(x, s, s * sigmoid(-x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log1mexp(D<N, S> x) {
  return chain(x, log1mexp(x.value), 1.0 / -expm1(-x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> xlogy(D<N, S> x, D<N, S> y) {
  return chain(x, y, xlogy(x.value, y.value), log(y.value),
               select(x.value == 0.0, S(0.0), x.value / y.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> xlog1py(D<N, S> x, D<N, S> y) {
  return chain(x, y, xlog1py(x.value, y.value), log1p(y.value),
               select(x.value == 0.0, S(0.0), x.value / (1.0 + y.value)));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> lgamma(D<N, S> x) {
  return chain(x, lgamma(x.value), digamma(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> digamma(D<N, S> x) {
  return chain(x, digamma(x.value), trigamma(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> trigamma(D<N, S> x) {
  return chain(x, trigamma(x.value), tetragamma(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> lbeta(D<N, S> a, D<N, S> b) {
  const S both = digamma(a.value + b.value);
  return chain(a, b, lbeta(a.value, b.value), digamma(a.value) - both, digamma(b.value) - both);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> ndtr(D<N, S> x) {
  return chain(x, ndtr(x.value),
               exp(-0.5 * x.value * x.value) * std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_ndtr(D<N, S> x) {
  // phi / Phi = sqrt(2 / pi) / erfcx(-x / sqrt 2)
  const S slope =
      std::numbers::sqrt2 * std::numbers::inv_sqrtpi / erfcx(-x.value / std::numbers::sqrt2);
  return chain(x, log_ndtr(x.value), slope);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> ndtri(D<N, S> u) {
  const S x = ndtri(u.value);
  return chain(u, x, exp(0.5 * x * x) * std::numbers::sqrt2 / std::numbers::inv_sqrtpi);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> expint_e1_scaled(D<N, S> x) {
  const S e = expint_e1_scaled(x.value);
  return chain(x, e, e - 1.0 / x.value);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_i0(D<N, S> x) {
  return chain(x, log_i0(x.value), i1_over_i0(x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> i1_over_i0(D<N, S> x) {
  const S r = i1_over_i0(x.value);
  return chain(x, r, select(x.value < 1e-8, S(0.5), 1.0 - r / x.value - r * r));
}

template <int N, class S>
ELBO_INLINE Dual<N, S> gamma_p(D<N, S> a, D<N, S> x) {
  return chain(a, x, gamma_p(a.value, x.value), gamma_p_da(a.value, x.value),
               gamma_density(a.value, x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> gamma_q(D<N, S> a, D<N, S> x) {
  return chain(a, x, gamma_q(a.value, x.value), -gamma_p_da(a.value, x.value),
               -gamma_density(a.value, x.value));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_gamma_p(D<N, S> a, D<N, S> x) {
  S da(0.0), dx(0.0);
  log_gamma_p_gradient(a.value, x.value, &da, &dx);
  return chain(a, x, log_gamma_p(a.value, x.value), da, dx);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_gamma_q(D<N, S> a, D<N, S> x) {
  S da(0.0), dx(0.0);
  log_gamma_q_gradient(a.value, x.value, &da, &dx);
  return chain(a, x, log_gamma_q(a.value, x.value), da, dx);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> gamma_p_inverse(D<N, S> a, D<N, S> u) {
  const S x = gamma_p_inverse(a.value, u.value);
  const S density = gamma_density(a.value, x);
  return chain(a, u, x, -gamma_p_da(a.value, x) / density, 1.0 / density);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> gamma_q_inverse(D<N, S> a, D<N, S> u) {
  const S x = gamma_q_inverse(a.value, u.value);
  const S density = gamma_density(a.value, x);
  return chain(a, u, x, -gamma_p_da(a.value, x) / density, -1.0 / density);
}

template <int N, class S>
ELBO_INLINE Dual<N, S> gamma_draw(D<N, S> a, D<N, S> x) {
  return chain(a, x.value, gamma_draw_slope(a.value, x.value)) + (x - x.value);
}
/// log(x / y) of a draw x of the beta law with a and b, y = 1 - x: see `beta_draw_slopes`.
template <int N, class S>
ELBO_INLINE Dual<N, S> beta_draw_log_odds(D<N, S> a, D<N, S> b, const S& x, const S& y) {
  S along_a(0.0), along_b(0.0);
  beta_draw_slopes(a.value, b.value, x, y, &along_a, &along_b);
  return chain(a, b, log(x / y), along_a, along_b);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> with_slope(D<N, S> z, D<N, S> t) {
  return chain(t, z.value, S(1.0));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> with_log_slope(D<N, S> z, D<N, S> t) {
  return chain(t, z.value, z.value);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> constant(D<N, S> x) {
  return Dual<N, S>(x.value);
}

namespace detail {
/// A function of (a, b, x) given its value and the factor that dI is multiplied by.
template <int N, class S>
ELBO_INLINE Dual<N, S> of_beta(D<N, S> a, D<N, S> b, D<N, S> x, const S& value, const S& factor) {
  S da(0.0), db(0.0);
  beta_i_gradient(a.value, b.value, x.value, &da, &db);
  const S dx = beta_density(a.value, b.value, x.value);
  Dual<N, S> out = chain(a, b, value, factor * da, factor * db);
  const Dual<N, S> along_x = chain(x, S(0.0), factor * dx);
  return out + along_x;
}
template <int N, class S>
ELBO_INLINE Dual<N, S> of_beta_inverse(D<N, S> a, D<N, S> b, D<N, S> u, const S& x, double sign) {
  S da(0.0), db(0.0);
  beta_i_gradient(a.value, b.value, x, &da, &db);
  const S density = beta_density(a.value, b.value, x);
  return chain(a, b, x, -da / density, -db / density) + chain(u, S(0.0), sign / density);
}
}  // namespace detail

template <int N, class S>
ELBO_INLINE Dual<N, S> beta_i(D<N, S> a, D<N, S> b, D<N, S> x) {
  return detail::of_beta(a, b, x, beta_i(a.value, b.value, x.value), S(1.0));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> beta_ic(D<N, S> a, D<N, S> b, D<N, S> x) {
  return detail::of_beta(a, b, x, beta_ic(a.value, b.value, x.value), S(-1.0));
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_beta_i(D<N, S> a, D<N, S> b, D<N, S> x) {
  S da(0.0), db(0.0), dx(0.0);
  log_beta_i_gradient(a.value, b.value, x.value, &da, &db, &dx);
  return chain(a, b, log_beta_i(a.value, b.value, x.value), da, db) + chain(x, S(0.0), dx);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_beta_ic(D<N, S> a, D<N, S> b, D<N, S> x) {
  S da(0.0), db(0.0), dx(0.0);
  log_beta_ic_gradient(a.value, b.value, x.value, &da, &db, &dx);
  return chain(a, b, log_beta_ic(a.value, b.value, x.value), da, db) + chain(x, S(0.0), dx);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> beta_i_inverse(D<N, S> a, D<N, S> b, D<N, S> u) {
  return detail::of_beta_inverse(a, b, u, beta_i_inverse(a.value, b.value, u.value), 1);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> beta_ic_inverse(D<N, S> a, D<N, S> b, D<N, S> u) {
  return detail::of_beta_inverse(a, b, u, beta_ic_inverse(a.value, b.value, u.value), -1);
}

}  // namespace elbo::math
