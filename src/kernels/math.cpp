#include "elbo/kernels/math.h"

#include <boost/math/special_functions/bessel.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/math/special_functions/expint.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/math/special_functions/polygamma.hpp>
#include <boost/math/special_functions/trigamma.hpp>
#include <limits>

namespace elbo::math {
namespace {

namespace bm = boost::math;
namespace policies = boost::math::policies;

/// Double arithmetic throughout, and NaN or infinity where Boost would throw.
using Policy = policies::policy<
    policies::promote_double<false>, policies::domain_error<policies::ignore_error>,
    policies::pole_error<policies::ignore_error>, policies::overflow_error<policies::ignore_error>,
    policies::underflow_error<policies::ignore_error>,
    policies::evaluation_error<policies::ignore_error>>;
constexpr Policy kPolicy;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int kMaxTerms = 200000;
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

/// log of x^a e^-x / Gamma(a + 1), without the cancellation of its three large terms.
double log_gamma_prefix(double a, double x) {
  if (a < 10) return a * std::log(x) - x - lgamma(a + 1);
  const double t = (x - a) / a;
  // log(1 + t) - t, whose series is exact where the difference cancels
  double excess = std::log(x / a) - t;
  if (std::abs(t) < 0.1) {
    excess = 0;
    double power = -t;
    for (int k = 2; k < 20; ++k) excess -= (power *= -t) / k;
  }
  return a * excess - 0.5 * std::log(2 * std::numbers::pi * a) - stirling_correction(a);
}

/// Q's continued fraction times (x + 1 - a), by Lentz's method, for x > a + 1.
Dual<1> gamma_fraction(const Dual<1>& a, double x) {
  constexpr double kTiny = 1e-300;
  Dual<1> b = x + 1 - a;
  Dual<1> c = 1 / kTiny;
  Dual<1> d = 1.0 / b;
  Dual<1> h = d;
  for (int i = 1; i < kMaxTerms; ++i) {
    const Dual<1> an = -(i * (i - a));
    b = b + 2.0;
    d = an * d + b;
    if (d.value == 0) d.value = kTiny;
    c = b + an / c;
    if (c.value == 0) c.value = kTiny;
    d = 1.0 / d;
    const Dual<1> step = d * c;
    h = h * step;
    if (std::abs(step.value - 1) < kEpsilon &&
        std::abs(step.partial[0]) < 1e-16 * std::abs(h.partial[0] / h.value))
      break;
  }
  return h;
}

/// I_x(a, b)'s continued fraction (so that I = x^a (1-x)^b / (a B) times it), by Lentz's method.
Dual<2> beta_fraction(const Dual<2>& a, const Dual<2>& b, double x) {
  constexpr double kTiny = 1e-300;
  const Dual<2> qab = a + b, qap = a + 1.0, qam = a - 1.0;
  Dual<2> c = 1.0;
  Dual<2> d = 1.0 - qab * x / qap;
  if (std::abs(d.value) < kTiny) d.value = kTiny;
  d = 1.0 / d;
  Dual<2> h = d;
  for (int m = 1; m < kMaxTerms; ++m) {
    const double m2 = 2.0 * m;
    const auto advance = [&](const Dual<2>& term) {
      d = 1.0 + term * d;
      if (std::abs(d.value) < kTiny) d.value = kTiny;
      c = 1.0 + term / c;
      if (std::abs(c.value) < kTiny) c.value = kTiny;
      d = 1.0 / d;
      const Dual<2> step = d * c;
      h = h * step;
      return step;
    };
    advance(static_cast<double>(m) * (b - static_cast<double>(m)) * x / ((qam + m2) * (a + m2)));
    const Dual<2> step = advance(-(a + static_cast<double>(m)) * (qab + static_cast<double>(m)) *
                                 x / ((a + m2) * (qap + m2)));
    if (std::abs(step.value - 1) < kEpsilon &&
        std::abs(step.partial[0]) < 1e-15 * std::abs(h.partial[0] / h.value) + 1e-300 &&
        std::abs(step.partial[1]) < 1e-15 * std::abs(h.partial[1] / h.value) + 1e-300)
      break;
  }
  return h;
}

}  // namespace

double lgamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}
double digamma(double x) { return bm::digamma(x, kPolicy); }
double trigamma(double x) { return x == kInfinity ? 0 : bm::trigamma(x, kPolicy); }
double tetragamma(double x) { return x == kInfinity ? 0 : bm::polygamma(2, x, kPolicy); }

double erfcx(double x) {
  if (x < 25) {
    if (x < -26.7) return kInfinity;
    if (x < 2) return std::exp(x * x) * std::erfc(x);
  }
  // The continued fraction of Laplace, evaluated from its end.
  if (x > 1e8) return std::numbers::inv_sqrtpi / x;
  const int terms = x < 4 ? 120 : x < 10 ? 40 : 16;
  double t = x;
  for (int k = terms; k >= 1; --k) t = x + 0.5 * k / t;
  return std::numbers::inv_sqrtpi / t;
}

double ndtr(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double log_ndtr(double x) {
  if (x < -1) return std::log(0.5 * erfcx(-x / std::numbers::sqrt2)) - 0.5 * x * x;
  return std::log1p(-0.5 * std::erfc(x / std::numbers::sqrt2));
}
double ndtri(double u) {
  if (!(u >= 0 && u <= 1)) return kNaN;
  if (u == 0) return -kInfinity;
  if (u == 1) return kInfinity;
  return -std::numbers::sqrt2 * bm::erfc_inv(2 * u, kPolicy);
}

double gamma_density(double a, double x) {
  if (x < 0) return 0;
  if (x == 0) return a < 1 ? kInfinity : a == 1 ? 1 : 0;
  return std::exp(log_gamma_prefix(a, x)) * a / x;
}
double gamma_p(double a, double x) {
  if (!(x > 0)) return x <= 0 ? 0 : kNaN;
  return x == kInfinity ? 1 : bm::gamma_p(a, x, kPolicy);
}
double gamma_q(double a, double x) {
  if (!(x > 0)) return x <= 0 ? 1 : kNaN;
  return x == kInfinity ? 0 : bm::gamma_q(a, x, kPolicy);
}
double log_gamma_p(double a, double x) {
  if (!(x > 0)) return x <= 0 ? -kInfinity : kNaN;
  if (x > a + 1) return std::log1p(-gamma_q(a, x));
  const double p = gamma_p(a, x);
  if (p > 1e-290) return std::log(p);
  // P = x^a e^-x / Gamma(a + 1) sum_n x^n / ((a + 1) ... (a + n))
  double sum = 1, term = 1;
  for (int n = 1; n < kMaxTerms && term > kEpsilon * sum; ++n) sum += term *= x / (a + n);
  return log_gamma_prefix(a, x) + std::log(sum);
}
double log_gamma_q(double a, double x) {
  if (!(x > 0)) return x <= 0 ? 0 : kNaN;
  if (x == kInfinity) return -kInfinity;
  if (x <= a + 1) return std::log1p(-gamma_p(a, x));
  const double q = gamma_q(a, x);
  if (q > 1e-290) return std::log(q);
  return log_gamma_prefix(a, x) + std::log(a) + std::log(gamma_fraction(Dual<1>(a), x).value);
}
double gamma_p_inverse(double a, double u) {
  if (!(u >= 0 && u <= 1)) return kNaN;
  return u == 1 ? kInfinity : bm::gamma_p_inv(a, u, kPolicy);
}
double gamma_q_inverse(double a, double u) {
  if (!(u >= 0 && u <= 1)) return kNaN;
  return u == 0 ? kInfinity : bm::gamma_q_inv(a, u, kPolicy);
}

namespace {
/// P's series and its slope along a, without the factor x^a e^-x / Gamma(a + 1).
struct Series {
  double sum = 1, slope = 0;
  Series(double a, double x) {
    double term = 1, harmonic = 0;
    for (int n = 1; n < kMaxTerms; ++n) {
      term *= x / (a + n);
      harmonic += 1 / (a + n);
      sum += term;
      slope -= term * harmonic;
      if (term * harmonic < kEpsilon * -slope) break;
    }
  }
};
}  // namespace

double gamma_p_da(double a, double x) {
  if (!(x > 0) || x == kInfinity) return 0;
  const double prefix = std::exp(log_gamma_prefix(a, x));
  if (x <= a + 1) {  // both parts have the same sign, or nearly
    const Series s(a, x);
    return prefix * ((std::log(x) - digamma(a + 1)) * s.sum + s.slope);
  }
  const Dual<1> h = gamma_fraction(Dual<1>::variable(a, 0), x);
  // Q = a prefix h
  return -a * prefix * ((std::log(x) - digamma(a)) * h.value + h.partial[0]);
}

void log_gamma_p_gradient(double a, double x, double* da, double* dx) {
  *da = *dx = 0;
  if (!(x > 0) || x == kInfinity) return;
  if (x <= a + 1) {
    const Series s(a, x);
    *da = std::log(x) - digamma(a + 1) + s.slope / s.sum;
    *dx = a / (x * s.sum);
    return;
  }
  const double p = gamma_p(a, x);
  *da = gamma_p_da(a, x) / p;
  *dx = gamma_density(a, x) / p;
}

void log_gamma_q_gradient(double a, double x, double* da, double* dx) {
  *da = *dx = 0;
  if (!(x > 0) || x == kInfinity) return;
  if (x > a + 1) {
    const Dual<1> h = gamma_fraction(Dual<1>::variable(a, 0), x);
    *da = std::log(x) - digamma(a) + h.partial[0] / h.value;
    *dx = -1 / (x * h.value);
    return;
  }
  const double q = gamma_q(a, x);
  *da = -gamma_p_da(a, x) / q;
  *dx = -gamma_density(a, x) / q;
}

double beta_density(double a, double b, double x) {
  if (x < 0 || x > 1) return 0;
  return std::exp((x == 0 && a == 1 ? 0 : (a - 1) * std::log(x)) +
                  (x == 1 && b == 1 ? 0 : (b - 1) * std::log1p(-x)) - lbeta(a, b));
}
double beta_i(double a, double b, double x) {
  if (!(x > 0)) return x <= 0 ? 0 : kNaN;
  if (x >= 1) return 1;
  if (a == 0.5 && b == 0.5)
    return std::atan2(std::sqrt(x), std::sqrt(1 - x)) * 2 / std::numbers::pi;
  return bm::ibeta(a, b, x, kPolicy);
}
double beta_ic(double a, double b, double x) {
  if (!(x > 0)) return x <= 0 ? 1 : kNaN;
  if (x >= 1) return 0;
  if (a == 0.5 && b == 0.5)
    return std::atan2(std::sqrt(1 - x), std::sqrt(x)) * 2 / std::numbers::pi;
  return bm::ibetac(a, b, x, kPolicy);
}
double log_beta_i(double a, double b, double x) {
  if (!(x > 0)) return x <= 0 ? -kInfinity : kNaN;
  if (x >= 1) return 0;
  if (x > (a + 1) / (a + b + 2)) return std::log1p(-beta_ic(a, b, x));
  const double p = beta_i(a, b, x);
  if (p > 1e-290) return std::log(p);
  return a * std::log(x) + b * std::log1p(-x) - std::log(a) - lbeta(a, b) +
         std::log(beta_fraction(Dual<2>(a), Dual<2>(b), x).value);
}
double log_beta_ic(double a, double b, double x) {
  if (!(x > 0)) return x <= 0 ? 0 : kNaN;
  if (x >= 1) return -kInfinity;
  if (x <= (a + 1) / (a + b + 2)) return std::log1p(-beta_i(a, b, x));
  const double q = beta_ic(a, b, x);
  if (q > 1e-290) return std::log(q);
  return a * std::log(x) + b * std::log1p(-x) - std::log(b) - lbeta(a, b) +
         std::log(beta_fraction(Dual<2>(b), Dual<2>(a), 1 - x).value);
}
double beta_i_inverse(double a, double b, double u) {
  if (!(u >= 0 && u <= 1)) return kNaN;
  return bm::ibeta_inv(a, b, u, kPolicy);
}
double beta_ic_inverse(double a, double b, double u) {
  if (!(u >= 0 && u <= 1)) return kNaN;
  return bm::ibetac_inv(a, b, u, kPolicy);
}

void beta_i_gradient(double a, double b, double x, double* da, double* db) {
  *da = *db = 0;
  if (!(x > 0 && x < 1)) return;
  const bool swap = x > (a + 1) / (a + b + 2);  // where the fraction converges fast
  const double p = swap ? b : a, q = swap ? a : b;
  const double y = swap ? 1 - x : x;
  const double log_y = swap ? std::log1p(-x) : std::log(x);
  const double log_1my = swap ? std::log(x) : std::log1p(-x);
  const double prefix = std::exp(p * log_y + q * log_1my - std::log(p) - lbeta(p, q));
  const Dual<2> h = beta_fraction(Dual<2>::variable(p, 0), Dual<2>::variable(q, 1), y);
  const double both = digamma(p + q);
  const double dp = prefix * ((log_y - digamma(p) + both - 1 / p) * h.value + h.partial[0]);
  const double dq = prefix * ((log_1my - digamma(q) + both) * h.value + h.partial[1]);
  *da = swap ? -dq : dp;
  *db = swap ? -dp : dq;
}

namespace {
/// The slopes of log I_y(p, q) for y where the fraction converges fast.
void lower_beta_gradient(double p, double q, double y, double log_y, double log_1my, double* dp,
                         double* dq, double* dy) {
  const Dual<2> h = beta_fraction(Dual<2>::variable(p, 0), Dual<2>::variable(q, 1), y);
  const double both = digamma(p + q);
  *dp = log_y - digamma(p) + both - 1 / p + h.partial[0] / h.value;
  *dq = log_1my - digamma(q) + both + h.partial[1] / h.value;
  *dy = p / (y * (1 - y) * h.value);
}
}  // namespace

void log_beta_i_gradient(double a, double b, double x, double* da, double* db, double* dx) {
  *da = *db = *dx = 0;
  if (!(x > 0 && x < 1)) return;
  if (x <= (a + 1) / (a + b + 2))
    return lower_beta_gradient(a, b, x, std::log(x), std::log1p(-x), da, db, dx);
  const double p = beta_i(a, b, x);
  beta_i_gradient(a, b, x, da, db);
  *da /= p;
  *db /= p;
  *dx = beta_density(a, b, x) / p;
}

void log_beta_ic_gradient(double a, double b, double x, double* da, double* db, double* dx) {
  *da = *db = *dx = 0;
  if (!(x > 0 && x < 1)) return;
  if (x > (a + 1) / (a + b + 2)) {
    lower_beta_gradient(b, a, 1 - x, std::log1p(-x), std::log(x), db, da, dx);
    *dx = -*dx;
    return;
  }
  const double q = beta_ic(a, b, x);
  beta_i_gradient(a, b, x, da, db);
  *da /= -q;
  *db /= -q;
  *dx = -beta_density(a, b, x) / q;
}

double expint_e1_scaled(double x) {
  if (x < 1) return std::exp(x) * bm::expint(1, x, kPolicy);
  double t = x;  // the continued fraction x + 1/(1 + 1/(x + 2/(1 + 2/(x + ...)))), from its end
  for (int k = x < 4 ? 200 : 60; k >= 1; --k) t = x + k / (1 + k / t);
  return 1 / t;
}

double log_i0(double x) {
  x = std::abs(x);
  if (x < 500) return std::log(bm::cyl_bessel_i(0, x, kPolicy));
  // e^x / sqrt(2 pi x) (1 + 1/(8x) + 9/(128 x^2) + ...)
  const double t = 1 / (8 * x);
  return x - 0.5 * std::log(2 * std::numbers::pi * x) +
         std::log1p(t * (1 + t * (4.5 + t * (37.5 + t * (459.375 + t * 7441.875)))));
}
double i1_over_i0(double x) {
  if (x < 500) return bm::cyl_bessel_i(1, x, kPolicy) / bm::cyl_bessel_i(0, x, kPolicy);
  const double t = 1 / (8 * x);
  const double i0 = 1 + t * (1 + t * (4.5 + t * (37.5 + t * (459.375 + t * 7441.875))));
  const double i1 = 1 - t * (3 + t * (7.5 + t * (52.5 + t * (590.625 + t * 9095.625))));
  return i1 / i0;
}

}  // namespace elbo::math
