// Functions of doubles and of packs of them, for formulas: see math.h.
#pragma once

#include <cmath>
#include <numbers>

#include "elbo/kernels/dual.h"

namespace elbo::math {

// ---- double

using std::abs;
using std::atan;
using std::cos;
using std::erf;
using std::erfc;
using std::exp;
using std::expm1;
using std::floor;
using std::log;
using std::log1p;
using std::pow;
using std::sin;
using std::sqrt;
using std::tan;
using std::tanh;

ELBO_INLINE double square(double x) { return x * x; }
ELBO_INLINE double maximum(double a, double b) { return a > b ? a : b; }
ELBO_INLINE double minimum(double a, double b) { return a < b ? a : b; }
/// log(1 + e^x)
ELBO_INLINE double softplus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}
ELBO_INLINE double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
/// log(1 - e^x) for x < 0, exact at both ends
ELBO_INLINE double log1mexp(double x) {
  return x > -std::numbers::ln2 ? std::log(-std::expm1(x)) : std::log1p(-std::exp(x));
}
/// x log y, 0 where x is 0
ELBO_INLINE double xlogy(double x, double y) { return x == 0 ? 0 : x * std::log(y); }
/// x log(1 + y), 0 where x is 0
ELBO_INLINE double xlog1py(double x, double y) { return x == 0 ? 0 : x * std::log1p(y); }

/// The sine and cosine of 2 pi u.
ELBO_INLINE void sincos_turns(double u, double* sine, double* cosine) {
  *sine = std::sin(2 * std::numbers::pi * u);
  *cosine = std::cos(2 * std::numbers::pi * u);
}

/// The cotangent of pi u, 0 <= u <= 1; its digits are those of u near 0, of 1 - u near 1.
ELBO_INLINE double cot_pi(double u) {
  if (u < 0.25) return 1 / std::tan(std::numbers::pi * u);
  if (u > 0.75) return -1 / std::tan(std::numbers::pi * (1 - u));
  return -std::tan(std::numbers::pi * (u - 0.5));
}

double lgamma(double x);
double digamma(double x);
double trigamma(double x);
double tetragamma(double x);
/// The normal law's distribution function, its logarithm and its inverse.
double ndtr(double x);
double log_ndtr(double x);
double ndtri(double u);
/// e^(x^2) erfc(x)
double erfcx(double x);

/// Regularised incomplete gamma functions P(a, x) and Q(a, x), their logarithms and inverses.
double gamma_p(double a, double x);
double gamma_q(double a, double x);
double log_gamma_p(double a, double x);
double log_gamma_q(double a, double x);
double gamma_p_inverse(double a, double u);
double gamma_q_inverse(double a, double u);
/// dP/da
double gamma_p_da(double a, double x);
/// d log P / da and / dx; d log Q / da and / dx. Exact where P and Q are too small for a double.
void log_gamma_p_gradient(double a, double x, double* da, double* dx);
void log_gamma_q_gradient(double a, double x, double* da, double* dx);

/// Regularised incomplete beta functions I_x(a, b) and 1 - I_x(a, b), logarithms and inverses.
double beta_i(double a, double b, double x);
double beta_ic(double a, double b, double x);
double log_beta_i(double a, double b, double x);
double log_beta_ic(double a, double b, double x);
double beta_i_inverse(double a, double b, double u);
double beta_ic_inverse(double a, double b, double u);
/// dI/da and dI/db
void beta_i_gradient(double a, double b, double x, double* da, double* db);
/// Those of log I, or of log(1 - I), and along x.
void log_beta_i_gradient(double a, double b, double x, double* da, double* db, double* dx);
void log_beta_ic_gradient(double a, double b, double x, double* da, double* db, double* dx);

/// e^x E1(x), the scaled exponential integral, for x > 0
double expint_e1_scaled(double x);

/// log I0(x), and I1(x) / I0(x), for x >= 0
double log_i0(double x);
double i1_over_i0(double x);

/// x^(a-1) e^-x / Gamma(a): dP/dx
double gamma_density(double a, double x);
/// x^(a-1) (1-x)^(b-1) / B(a, b): dI/dx
double beta_density(double a, double b, double x);

// ---- Pack: what pack.h has no vector form of

template <int L>
ELBO_INLINE PackOf<L> cot_pi(const PackOf<L>& u) {
  PackOf<L> sine, cosine;
  sincos_turns(0.5 * u, &sine, &cosine);
  return cosine / sine;
}
template <int L>
ELBO_INLINE PackOf<L> trigamma(const PackOf<L>& x) {
  return lanewise([](double s) { return trigamma(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> tetragamma(const PackOf<L>& x) {
  return lanewise([](double s) { return tetragamma(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> ndtr(const PackOf<L>& x) {
  return lanewise([](double s) { return ndtr(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> log_ndtr(const PackOf<L>& x) {
  return lanewise([](double s) { return log_ndtr(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> ndtri(const PackOf<L>& x) {
  return lanewise([](double s) { return ndtri(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> erfcx(const PackOf<L>& x) {
  return lanewise([](double s) { return erfcx(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> expint_e1_scaled(const PackOf<L>& x) {
  return lanewise([](double s) { return expint_e1_scaled(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> log_i0(const PackOf<L>& x) {
  return lanewise([](double s) { return log_i0(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> i1_over_i0(const PackOf<L>& x) {
  return lanewise([](double s) { return i1_over_i0(s); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> gamma_p(const PackOf<L>& a, const PackOf<L>& b) {
  return lanewise([](double s, double t) { return gamma_p(s, t); }, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> gamma_q(const PackOf<L>& a, const PackOf<L>& b) {
  return lanewise([](double s, double t) { return gamma_q(s, t); }, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> log_gamma_p(const PackOf<L>& a, const PackOf<L>& b) {
  return lanewise([](double s, double t) { return log_gamma_p(s, t); }, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> log_gamma_q(const PackOf<L>& a, const PackOf<L>& b) {
  return lanewise([](double s, double t) { return log_gamma_q(s, t); }, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> gamma_p_inverse(const PackOf<L>& a, const PackOf<L>& b) {
  return lanewise([](double s, double t) { return gamma_p_inverse(s, t); }, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> gamma_q_inverse(const PackOf<L>& a, const PackOf<L>& b) {
  return lanewise([](double s, double t) { return gamma_q_inverse(s, t); }, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> gamma_p_da(const PackOf<L>& a, const PackOf<L>& b) {
  return lanewise([](double s, double t) { return gamma_p_da(s, t); }, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> gamma_density(const PackOf<L>& a, const PackOf<L>& b) {
  return lanewise([](double s, double t) { return gamma_density(s, t); }, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> beta_i(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x) {
  return lanewise([](double s, double t, double w) { return beta_i(s, t, w); }, a, b, x);
}
template <int L>
ELBO_INLINE PackOf<L> beta_ic(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x) {
  return lanewise([](double s, double t, double w) { return beta_ic(s, t, w); }, a, b, x);
}
template <int L>
ELBO_INLINE PackOf<L> log_beta_i(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x) {
  return lanewise([](double s, double t, double w) { return log_beta_i(s, t, w); }, a, b, x);
}
template <int L>
ELBO_INLINE PackOf<L> log_beta_ic(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x) {
  return lanewise([](double s, double t, double w) { return log_beta_ic(s, t, w); }, a, b, x);
}
template <int L>
ELBO_INLINE PackOf<L> beta_i_inverse(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x) {
  return lanewise([](double s, double t, double w) { return beta_i_inverse(s, t, w); }, a, b, x);
}
template <int L>
ELBO_INLINE PackOf<L> beta_ic_inverse(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x) {
  return lanewise([](double s, double t, double w) { return beta_ic_inverse(s, t, w); }, a, b, x);
}
template <int L>
ELBO_INLINE PackOf<L> beta_density(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x) {
  return lanewise([](double s, double t, double w) { return beta_density(s, t, w); }, a, b, x);
}
template <int L>
ELBO_INLINE void beta_i_gradient(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x,
                                 PackOf<L>* da, PackOf<L>* db) {
  for (int i = 0; i < L; ++i) {
    double along_a = 0, along_b = 0;
    beta_i_gradient(a.v[i], b.v[i], x.v[i], &along_a, &along_b);
    da->v[i] = along_a;
    db->v[i] = along_b;
  }
}

/// f(a, x, &da, &dx) lane by lane, for functions of two arguments that give two slopes.
template <int L, class F>
ELBO_INLINE void slopes_lanewise(const F& f, const PackOf<L>& a, const PackOf<L>& x, PackOf<L>* da,
                                 PackOf<L>* dx) {
  for (int i = 0; i < L; ++i) {
    double along_a = 0, along_x = 0;
    f(a.v[i], x.v[i], &along_a, &along_x);
    da->v[i] = along_a;
    dx->v[i] = along_x;
  }
}
template <int L>
ELBO_INLINE void log_gamma_p_gradient(const PackOf<L>& a, const PackOf<L>& x, PackOf<L>* da,
                                      PackOf<L>* dx) {
  slopes_lanewise([](auto... v) { log_gamma_p_gradient(v...); }, a, x, da, dx);
}
template <int L>
ELBO_INLINE void log_gamma_q_gradient(const PackOf<L>& a, const PackOf<L>& x, PackOf<L>* da,
                                      PackOf<L>* dx) {
  slopes_lanewise([](auto... v) { log_gamma_q_gradient(v...); }, a, x, da, dx);
}
template <int L, class F>
ELBO_INLINE void slopes_lanewise(const F& f, const PackOf<L>& a, const PackOf<L>& b,
                                 const PackOf<L>& x, PackOf<L>* da, PackOf<L>* db, PackOf<L>* dx) {
  for (int i = 0; i < L; ++i) {
    double along_a = 0, along_b = 0, along_x = 0;
    f(a.v[i], b.v[i], x.v[i], &along_a, &along_b, &along_x);
    da->v[i] = along_a;
    db->v[i] = along_b;
    dx->v[i] = along_x;
  }
}
template <int L>
ELBO_INLINE void log_beta_i_gradient(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x,
                                     PackOf<L>* da, PackOf<L>* db, PackOf<L>* dx) {
  slopes_lanewise([](auto... v) { log_beta_i_gradient(v...); }, a, b, x, da, db, dx);
}
template <int L>
ELBO_INLINE void log_beta_ic_gradient(const PackOf<L>& a, const PackOf<L>& b, const PackOf<L>& x,
                                      PackOf<L>* da, PackOf<L>* db, PackOf<L>* dx) {
  slopes_lanewise([](auto... v) { log_beta_ic_gradient(v...); }, a, b, x, da, db, dx);
}

// ---- either

ELBO_INLINE bool any(bool condition) { return condition; }

template <class V>
concept Value = std::is_same_v<V, double> || kIsPack<V>;

/// log(a / b) for a >= b > 0, exact also where they are close.
template <Value V>
ELBO_INLINE V log_ratio(const V& a, const V& b) {
  return log1p((a - b) / b);
}

/// log(a b) of positive numbers, 1e-200 < b < 1e200, whose product may leave the range.
template <Value V>
ELBO_INLINE V log_product(const V& a, const V& b) {
  constexpr double kShift = 600 * std::numbers::ln2;
  const auto small = a<1e-100, large = a> 1e100;
  const V moved = a * select(small, V(0x1p600), select(large, V(0x1p-600), V(1.0)));
  return log(moved * b) + select(small, V(-kShift), select(large, V(kShift), V(0.0)));
}

/// log Gamma(z) - ((z - 1/2) log z - z + log(2 pi) / 2) for z >= 10: Stirling's series.
template <Value V>
ELBO_INLINE V stirling_correction(const V& z) {
  const V w = 1.0 / (z * z);
  return (1.0 / 12 -
          w * (1.0 / 360 -
               w * (1.0 / 1260 - w * (1.0 / 1680 - w * (1.0 / 1188 - w * (691.0 / 360360)))))) /
         z;
}

/// log of the beta function
template <Value V>
ELBO_INLINE V lbeta(const V& a, const V& b) {
  const V small = minimum(a, b), large = maximum(a, b);
  const V plain = lgamma(small) + lgamma(large) - lgamma(small + large);
  if (!any(large >= 10.0)) return plain;
  // log Gamma(l) - log Gamma(s + l), the large parts cancelled by hand (Stirling)
  const V both = small + large;
  const V difference = stirling_correction(large) - stirling_correction(both) + small -
                       (large - 0.5) * log1p(small / large) - small * log(both);
  return select(large < 10.0, plain, lgamma(small) + difference);
}

/// dx/da of a draw x of the standard gamma law of shape a: -(dP/da) / p, in which the density
/// cancels. Sums the series of P and of dP/da side by side; where x lies so far out that they lose
/// digits (a draw in some 1e7), and at large shapes, it takes the quotient.
template <Value V>
ELBO_INLINE V gamma_draw_slope(const V& a, const V& x) {
  constexpr int kTerms = 400;
  V sum = 1.0, slope = 0.0, term = 1.0, harmonic = 0.0, n = a;
  auto moving = x > 0.0;
  for (int k = 0; k < kTerms; ++k) {
    n = n + 1.0;
    const V inverse = 1.0 / n;
    term = term * (x * inverse);
    harmonic = harmonic + inverse;
    sum = sum + term;
    const V piece = term * harmonic;
    slope = slope - piece;
    moving = piece > slope * -1e-17;
    if (!any(moving & (sum < 1e6))) break;
  }
  const V out = x / a * ((digamma(a + 1.0) - log(x)) * sum - slope);
  const auto lost = moving | (sum >= 1e6) | (x != x);
  if (!any(lost)) return out;
  const auto quotient = [](double shape, double draw) {
    double along_shape = 0, along_draw = 0;
    if (draw > shape + 1) {  // of the smaller of the two sides
      log_gamma_q_gradient(shape, draw, &along_shape, &along_draw);
    } else {
      log_gamma_p_gradient(shape, draw, &along_shape, &along_draw);
    }
    return -along_shape / along_draw;
  };
  if constexpr (std::is_same_v<V, double>)
    return quotient(a, x);
  else
    return select(lost, lanewise(quotient, a, x), out);
}

/// The slopes along a and b of log(x / y), where x is a draw of the beta law with a and b and
/// y = 1 - x: -(dI/da) / p / (x y) and that of b, in which the density cancels. Sums the series
/// I = x^a y^b / (a B(a, b)) sum_n (a + b)_n / (a + 1)_n x^n and its slopes side by side, for
/// whichever of x and y it converges fast; where it does not, takes the quotient.
template <Value V>
ELBO_INLINE void beta_draw_slopes(const V& a, const V& b, const V& x, const V& y, V* along_a,
                                  V* along_b) {
  constexpr int kTerms = 400, kStride = 4;
  const auto swap = x * (a + b + 2.0) > a + 1.0;
  const V p = select(swap, b, a), q = select(swap, a, b);
  const V w = select(swap, y, x), v = select(swap, x, y);
  V sum = 1.0, term = 1.0, sum_p = 0.0, sum_q = 0.0, log_p = 0.0, log_q = 0.0;
  V top = p + q, bottom = p + 1.0;
  auto moving = w > 0.0;
  for (int n = 0; n < kTerms; n += kStride) {
    for (int k = 0; k < kStride; ++k) {
      const V inverse = 1.0 / (top * bottom);
      log_p = log_p + (1.0 - q) * inverse;
      log_q = log_q + bottom * inverse;
      term = term * (top * top * inverse * w);
      sum = sum + term;
      sum_p = sum_p + term * log_p;
      sum_q = sum_q + term * log_q;
      top = top + 1.0;
      bottom = bottom + 1.0;
    }
    moving = term * (1.0 + log_q) > sum * 1e-17;
    if (!any(moving)) break;
  }
  const V both = digamma(p + q);
  const V dp = -((log(w) - digamma(p + 1.0) + both) * sum + sum_p) / p;
  const V dq = -((log(v) - digamma(q) + both) * sum + sum_q) / p;
  *along_a = select(swap, -dq, dp);
  *along_b = select(swap, -dp, dq);
  const auto lost = moving | !((w > 0.0) & (sum < 1e12));
  if (!any(lost)) return;
  const auto quotient = [](double c, double d, double one, double rest, bool of_d) {
    const bool upper = one * (c + d + 2) > c + 1;
    double da = 0, db = 0, dx = 0;
    if (!(one > 0 && rest > 0)) return one == one ? 0.0 : one;
    if (upper)  // by the lower tail of the other
      log_beta_i_gradient(d, c, rest, &db, &da, &dx);
    else
      log_beta_i_gradient(c, d, one, &da, &db, &dx);
    const double slope = -(of_d ? db : da) / dx / (one * rest);
    return upper ? -slope : slope;
  };
  const auto of_a = [&](auto... s) { return quotient(s..., false); };
  const auto of_b = [&](auto... s) { return quotient(s..., true); };
  if constexpr (std::is_same_v<V, double>) {
    *along_a = of_a(a, b, x, y);
    *along_b = of_b(a, b, x, y);
  } else {
    *along_a = select(lost, lanewise(of_a, a, b, x, y), *along_a);
    *along_b = select(lost, lanewise(of_b, a, b, x, y), *along_b);
  }
}

/// x as a draw of the standard gamma law of shape a: its slope along a is `gamma_draw_slope`.
ELBO_INLINE double gamma_draw(double, double x) { return x; }
template <int L>
ELBO_INLINE PackOf<L> gamma_draw(const PackOf<L>&, const PackOf<L>& x) {
  return x;
}
/// z, which moves as t does: constant(z) + t - constant(t).
ELBO_INLINE double with_slope(double z, double) { return z; }
template <int L>
ELBO_INLINE PackOf<L> with_slope(const PackOf<L>& z, const PackOf<L>&) {
  return z;
}
/// z, whose logarithm moves as t does: constant(z) e^(t - constant(t)).
ELBO_INLINE double with_log_slope(double z, double) { return z; }
template <int L>
ELBO_INLINE PackOf<L> with_log_slope(const PackOf<L>& z, const PackOf<L>&) {
  return z;
}
/// The value, whose derivatives are dropped.
ELBO_INLINE double constant(double x) { return x; }
template <int L>
ELBO_INLINE PackOf<L> constant(const PackOf<L>& x) {
  return x;
}

}  // namespace elbo::math
