#pragma once

#include <algorithm>
#include <type_traits>

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
/// What laws on whole numbers share.
namespace detail_poisson {

inline double value_of(double x) { return x; }
template <int N>
double value_of(const Dual<N>& x) {
  return x.value;
}

/// Whether x is none of 0, 1, 2, …; false where x is NaN, so that it stays NaN.
template <class T>
auto outside(const T& x) {
  return (x < 0.0) | (x > floor(x)) | (x == INFINITY);
}

/// log Gamma(z + 1) - ((z + 1/2) log z - z + log(2 pi) / 2), z > 0.
template <math::Value V>
ELBO_INLINE V stirling_error(const V& z) {
  const auto small = z < 10.0;
  const V far = stirling_correction(z);
  if (!any(small)) return far;
  return select(
      small, lgamma(z + 1.0) - (z + 0.5) * log(z) + z - 0.5 * std::log(2 * std::numbers::pi), far);
}

/// x log(x / m) + m - x, without cancellation where x is near m (Loader 2000).
template <math::Value V>
ELBO_INLINE V deviance(const V& x, const V& m) {
  const V ratio = x / m;
  const V log_ratio = select(ratio < INFINITY, log(ratio), log(x) - log(m));
  const V v = (x - m) / (x + m);
  const V w = v * v;
  V series = 1.0 / 19;
  for (int j = 8; j >= 1; --j) series = series * w + 1.0 / (2 * j + 1);
  const V near = (x - m) * v + 2.0 * x * v * w * series;
  return select(m == 0.0, INFINITY, select(abs(v) < 0.1, near, x * log_ratio + m - x));
}

/// log of rate^x e^-rate / x!, its large terms cancelled by hand; the plain form for tensors.
template <math::Value V>
ELBO_INLINE V log_density(const V& x, const V& rate) {
  return select(x == 0.0, -rate,
                -deviance(x, rate) - stirling_error(x) -
                    0.5 * log(2 * std::numbers::pi * select(x == 0.0, 1.0, x)));
}
template <class T>
requires std::is_same_v<T, at::Tensor> T log_density(const T& x, const T& rate) {
  return xlogy(x, rate) - rate - lgamma(x + 1.0);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_density(const Dual<N, S>& x, const Dual<N, S>& rate) {
  const S k = x.value, m = rate.value;
  return chain(x, rate, log_density(k, m), log(m) - digamma(k + 1.0),
               select(k == 0.0, S(-1.0), (k - m) / m));
}

/// The quantile of a law near to normal, by the first term of Cornish and Fisher.
inline double near_normal(double u, double mean, double sd, double skewness) {
  const double z = ndtri(u);
  return mean + sd * (z + skewness * (z * z - 1) / 6);
}

/// The smallest whole k >= 0 of Law with F(k) >= u, sought from a guess; `last` where u is 1. A few
/// units in the last place are forgiven, and u = F(k) as rounded gives k.
template <class Law, class... P>
double smallest(double u, double guess, double last, P... parameters) {
  if (!(u >= 0 && u <= 1)) return NAN;
  if (u == 1) return last;
  const double log_tail = std::log1p(-u);
  const auto reached = [&](double k) {
    if (k >= last) return true;
    if (u <= 0.5) return Law::cdf(k, parameters...) >= u * (1 - 0x1p-49);
    return Law::log_survival(k, parameters...) <= log_tail + 0x1p-49;
  };
  guess = guess > 0 ? std::floor(std::min(guess, std::min(last, 1e300))) : 0;
  double low = guess, high = guess;  // reached at high, not at low unless low is -1
  if (reached(guess)) {
    for (double step = 1;; step *= 2) {
      low = std::max(high - step, -1.0);
      if (low < 0 || !reached(low)) break;
      high = low;
    }
  } else {
    for (double step = 1;; step *= 2) {
      high = low + step;
      if (reached(high)) break;
      low = high;
    }
  }
  while (high - low > 1) {
    const double middle = std::floor(low + (high - low) / 2);
    if (middle <= low || middle >= high) break;  // neighbours at this magnitude
    (reached(middle) ? high : low) = middle;
  }
  return high > 0 && Law::cdf(high - 1, parameters...) >= u ? high - 1 : high;
}

}  // namespace detail_poisson

struct Poisson {
  static constexpr const char* kName = "Poisson";
  static constexpr std::array<Parameter, 1> kParameters = {{{"rate", Range::kNonNegative}}};
  static constexpr auto kSupport = Constraint::Kind::kCount;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& rate) {
    const auto outside = detail_poisson::outside(x);
    const T k = select(outside, 0.0, x);
    return select(outside, -INFINITY, detail_poisson::log_density(k, rate));
  }
  static double cdf(double x, double rate) {
    if (x == INFINITY) return 1;
    return x < 0 ? 0 : gamma_q(std::floor(x) + 1, rate);
  }
  static double log_cdf(double x, double rate) {
    if (x < 0) return -INFINITY;
    if (x == INFINITY) return 0;
    const double k = std::floor(x);
    return k < rate && far(k, rate) ? log_prob(k, rate) + std::log(sum_down(k, rate))
                                    : log_gamma_q(k + 1, rate);
  }
  static double log_survival(double x, double rate) {
    if (x < 0) return 0;
    if (x == INFINITY) return -INFINITY;
    const double k = std::floor(x) + 1;
    return k > rate && far(k, rate) ? log_prob(k, rate) + std::log(sum_up(k, rate))
                                    : log_gamma_p(k, rate);
  }
  // dF / drate = -p(k)
  template <int N>
  static Dual<N> cdf(const Dual<N>& x, const Dual<N>& rate) {
    return chain(rate, cdf(x.value, rate.value),
                 -std::exp(log_prob(std::floor(x.value), rate.value)));
  }
  template <int N>
  static Dual<N> log_cdf(const Dual<N>& x, const Dual<N>& rate) {
    const double f = log_cdf(x.value, rate.value);
    const double p = log_prob(std::floor(x.value), rate.value);
    return chain(rate, f, p == -INFINITY ? 0 : -std::exp(p - f));
  }
  template <int N>
  static Dual<N> log_survival(const Dual<N>& x, const Dual<N>& rate) {
    const double s = log_survival(x.value, rate.value);
    const double p = log_prob(std::floor(x.value), rate.value);
    return chain(rate, s, p == -INFINITY ? 0 : std::exp(p - s));
  }
  template <math::Scalar T>
  ELBO_INLINE static T icdf(const T& u, const T& rate) {
    return quantile(detail_poisson::value_of(u), detail_poisson::value_of(rate));
  }
  static double quantile(double u, double rate) {
    const double sd = std::sqrt(rate);
    return detail_poisson::smallest<Poisson>(u, detail_poisson::near_normal(u, rate, sd, 1 / sd),
                                             INFINITY, rate);
  }
  /// Below 10 by inversion, else by Hörmann's transformed rejection PTRS (1993).
  static double standard(Noise::Stream<double>& stream, double rate) {
    if (!(rate < INFINITY)) return rate;
    if (rate < 10) {
      double u = stream.uniform(), p = std::exp(-rate), k = 0;
      while (u > p && k < 1000) {
        u -= p;
        p *= rate / ++k;
      }
      return k;
    }
    const double b = 0.931 + 2.53 * std::sqrt(rate);
    const double a = -0.059 + 0.02483 * b;
    const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    const double box = 0.9277 - 3.6224 / (b - 2);
    while (true) {
      const double u = stream.uniform() - 0.5;
      const double v = stream.uniform();
      const double us = 0.5 - std::abs(u);
      const double k = std::floor((2 * a / us + b) * u + rate + 0.43);
      if (us >= 0.07 && v <= box) return k;
      if (k < 0 || (us < 0.013 && v > us)) continue;
      if (std::log(v * inverse_alpha / (a / (us * us) + b)) <= detail_poisson::log_density(k, rate))
        return k;
    }
  }
  static double sample(Noise::Stream<double>& stream, const double* p) {
    return standard(stream, p[0]);
  }
  template <math::Scalar T>
  ELBO_INLINE static T entropy(const T& rate) {
    // Past 1000 the next term of the series is below 1e-12.
    if (rate > 1000.0) {
      const T t = 1.0 / rate;
      return 0.5 * log(2 * std::numbers::pi * std::numbers::e * rate) -
             t * (1.0 / 12 + t * (1.0 / 24 + t * (19.0 / 360)));
    }
    const double mean = detail_poisson::value_of(rate);
    const double reach = 12 * std::sqrt(mean) + 30;
    T sum = 0.0;
    for (double k = std::max(0.0, std::floor(mean - reach)); k <= mean + reach; ++k) {
      const T at = k;
      const T term = detail_poisson::log_density(at, rate);
      if (term > -700.0) sum = sum - exp(term) * term;
    }
    return sum;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& rate) {
    return rate;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& rate) {
    return rate;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& rate) {
    return floor(rate);
  }

 private:
  /// Where the incomplete gamma functions lose digits: at large rates past 9 standard deviations.
  static bool far(double k, double rate) {
    return rate > 1e4 && std::abs(k - rate) > 9 * std::sqrt(std::max(k, rate));
  }
  /// F(k) / p(k) = 1 + k / rate + k (k - 1) / rate^2 + …, k < rate
  static double sum_down(double k, double rate) {
    double sum = 1;
    for (double term = 1, j = k; j > 0 && term > 1e-17 * sum; --j) sum += term *= j / rate;
    return sum;
  }
  /// P(X >= k) / p(k) = 1 + rate / (k + 1) + …, k > rate
  static double sum_up(double k, double rate) {
    double sum = 1;
    for (double term = 1, j = k + 1; term > 1e-17 * sum; ++j) sum += term *= rate / j;
    return sum;
  }
};
}  // namespace laws

/// The law of Poisson, on 0, 1, 2, …
/// **Equation** p(k) = rate^k e^(-rate) / k!
/// **Ranges** rate >= 0; DomainError otherwise.
class Poisson final : public Univariate<Poisson, laws::Poisson> {
 public:
  explicit Poisson(at::Tensor rate, Validate validate = Validate::kYes)
      : Univariate({std::move(rate)}, validate) {}
  [[nodiscard]] const at::Tensor& rate() const { return parameter(0); }
};

}  // namespace elbo
