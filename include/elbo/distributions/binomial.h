#pragma once

#include <algorithm>

#include "elbo/distributions/poisson.h"
#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
/// What the two binomial laws share.
namespace detail_binomial {

/// log of C(n, x) p^x (1 - p)^(n - x) for real 0 <= x <= n, its large terms cancelled by hand
/// (Loader 2000); the plain form for tensors.
template <math::Value V>
ELBO_INLINE V log_density(const V& x, const V& n, const V& p) {
  using detail_poisson::deviance, detail_poisson::stirling_error;
  const V rest = n - x;
  const auto none = x == 0.0, all = rest == 0.0;
  const V k = select(none, 1.0, x), l = select(all, 1.0, rest);
  const V middle = stirling_error(n) - stirling_error(k) - stirling_error(l) - deviance(k, n * p) -
                   deviance(l, n * (1.0 - p)) - 0.5 * (log(2 * std::numbers::pi * k) + log(l / n));
  return select(none, xlog1py(n, -p), select(all, n * log(p), middle));
}
template <class T>
requires std::is_same_v<T, at::Tensor> T log_density(const T& x, const T& n, const T& p) {
  return lgamma(n + 1.0) - lgamma(x + 1.0) - lgamma(n - x + 1.0) + xlogy(x, p) + xlog1py(n - x, -p);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_density(const Dual<N, S>& x, const Dual<N, S>& n, const Dual<N, S>& p) {
  const S k = x.value, rest = n.value - k, q = 1.0 - p.value;
  const S along_rest = log1p(-p.value) - digamma(rest + 1.0);
  const S along_p =
      select(k == 0.0, -rest / q,
             select(rest == 0.0, k / p.value, (k - n.value * p.value) / (p.value * q)));
  return chain(x, n, log_density(k, n.value, p.value), log(p.value) - digamma(k + 1.0) - along_rest,
               digamma(n.value + 1.0) + along_rest) +
         chain(p, S(0.0), along_p);
}

/// log I_p(a, b) for p <= a / (a + b) and large a and b: I = C(a+b-1, a) p^a (1-p)^(b-1)
/// (1 + (b-1)/(a+1) odds + (b-1)(b-2)/((a+1)(a+2)) odds^2 + …).
inline double log_series(double a, double b, double p, double log_at_a) {
  const double odds = p / (1 - p);
  double sum = 1;
  for (double term = 1, i = 1; i < b && term > 1e-17 * sum; ++i)
    sum += term *= (b - i) / (a + i) * odds;
  return log_at_a + std::log(b / (a + b)) - std::log1p(-p) + std::log(sum);
}
/// log of the one of I_p(a, b) and its complement that the series gives, and which it is.
inline double log_smaller(double a, double b, double p, bool* is_complement) {
  const double log_at_a = log_density(a, a + b, p);
  *is_complement = p * (a + b) > a;
  return *is_complement ? log_series(b, a, 1 - p, log_at_a) : log_series(a, b, p, log_at_a);
}
/// Where math.h's incomplete beta functions lose digits.
inline bool large(double a, double b, double p) { return std::min(a, b) > 1e5 && p > 0 && p < 1; }

/// log I_p(a, b), log(1 - I_p(a, b)) and 1 - I_p(a, b), to all digits at large counts too.
template <class T>
T log_lower(const T& a, const T& b, const T& p) {
  return log_beta_i(a, b, p);
}
template <class T>
T log_upper(const T& a, const T& b, const T& p) {
  return log_beta_ic(a, b, p);
}
template <class T>
T upper(const T& a, const T& b, const T& p) {
  return beta_ic(a, b, p);
}
inline double log_lower(double a, double b, double p) {
  if (!large(a, b, p)) return log_beta_i(a, b, p);
  bool is_complement = false;
  const double value = log_smaller(a, b, p, &is_complement);
  return is_complement ? log1mexp(value) : value;
}
inline double log_upper(double a, double b, double p) {
  if (!large(a, b, p)) return log_beta_ic(a, b, p);
  bool is_complement = false;
  const double value = log_smaller(a, b, p, &is_complement);
  return is_complement ? value : log1mexp(value);
}
inline double upper(double a, double b, double p) {
  return large(a, b, p) ? std::exp(log_upper(a, b, p)) : beta_ic(a, b, p);
}

/// `log_of_b(b)`, the log of I_p(a, b) (sign 1) or of its complement (-1), with its slopes along b
/// and p; a, a whole number, never moves.
template <int N, class F>
Dual<N> log_tail(const Dual<N>& b, const Dual<N>& p, double a, double sign, const F& log_of_b) {
  const double at = b.value, chance = p.value, value = log_of_b(at);
  double along_b = 0, along_p = 0;
  if (value == -INFINITY) return Dual<N>(value);
  if (chance > 0 && chance < 1) {
    along_p = sign * std::exp(log_density(a, a + at, chance) + std::log(a / (a + at) * at) -
                              std::log(chance) - std::log1p(-chance) - value);
    if (value > -600) {
      double along_a = 0;
      beta_i_gradient(a, at, chance, &along_a, &along_b);
      along_b *= sign / std::exp(value);
    } else {  // the quotient of two numbers that underflow, by differences of its logarithm
      const double step = 1e-5 * at;
      along_b = (log_of_b(at + step) - log_of_b(at - step)) / (2 * step);
    }
  } else {
    along_p = sign * beta_density(a, at, chance) / std::exp(value);
  }
  return chain(b, p, value, along_b, along_p);
}
template <int N>
Dual<N> log_lower(const Dual<N>& a, const Dual<N>& b, const Dual<N>& p) {
  return log_tail(b, p, a.value, 1, [&](double at) { return log_lower(a.value, at, p.value); });
}
template <int N>
Dual<N> log_upper(const Dual<N>& a, const Dual<N>& b, const Dual<N>& p) {
  return log_tail(b, p, a.value, -1, [&](double at) { return log_upper(a.value, at, p.value); });
}
template <int N>
Dual<N> upper(const Dual<N>& a, const Dual<N>& b, const Dual<N>& p) {
  return exp(log_upper(a, b, p));
}

}  // namespace detail_binomial

struct Binomial {
  static constexpr const char* kName = "Binomial";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"total_count", Range::kCount}, {"probs", Range::kUnit}}};
  static constexpr auto kSupport = Constraint::Kind::kIntegerInterval;
  template <class T>
  ELBO_INLINE static T lower(const T& total_count, const T&) {
    return 0.0 * total_count;
  }
  template <class T>
  ELBO_INLINE static T upper(const T& total_count, const T&) {
    return total_count;
  }

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& total_count, const T& probs) {
    const auto outside = detail_poisson::outside(x) | (x > total_count);
    const T k = select(outside, 0.0, x);
    return select(outside, -INFINITY, detail_binomial::log_density(k, total_count, probs));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T cdf(const T& x, const T& total_count, const T& probs) {
    return select(
        x < 0.0, 0.0,
        select(x >= total_count, 1.0,
               detail_binomial::upper(successes(x, total_count), rest(x, total_count), probs)));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T log_cdf(const T& x, const T& total_count, const T& probs) {
    return select(
        x < 0.0, -INFINITY,
        select(x >= total_count, 0.0,
               detail_binomial::log_upper(successes(x, total_count), rest(x, total_count), probs)));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T log_survival(const T& x, const T& total_count, const T& probs) {
    return select(
        x < 0.0, 0.0,
        select(x >= total_count, -INFINITY,
               detail_binomial::log_lower(successes(x, total_count), rest(x, total_count), probs)));
  }
  template <math::Scalar T>
  ELBO_INLINE static T icdf(const T& u, const T& total_count, const T& probs) {
    return quantile(detail_poisson::value_of(u), detail_poisson::value_of(total_count),
                    detail_poisson::value_of(probs));
  }
  static double quantile(double u, double n, double p) {
    const double sd = std::sqrt(n * p * (1 - p));
    return detail_poisson::smallest<Binomial>(
        u, detail_poisson::near_normal(u, n * p, sd, (1 - 2 * p) / sd), n, n, p);
  }
  /// Below 10 successes on average by inversion, else by Hörmann's transformed rejection BTRS
  /// (1993); above 1/2 the failures are drawn.
  static double sample(Noise::Stream<double>& stream, const double* parameters) {
    const double n = parameters[0];
    const bool flip = parameters[1] > 0.5;
    const double p = flip ? 1 - parameters[1] : parameters[1];
    if (!(n * p < INFINITY)) return n * p;
    const double k = n * p < 10 ? few(stream, n, p) : many(stream, n, p);
    return flip ? n - k : k;
  }
  template <math::Scalar T>
  ELBO_INLINE static T entropy(const T& total_count, const T& probs) {
    const double n = detail_poisson::value_of(total_count), p = detail_poisson::value_of(probs);
    const double reach = 12 * std::sqrt(n * p * (1 - p)) + 30;
    const double last = std::min(n, n * p + reach);
    T sum = 0.0;
    for (double k = std::max(0.0, std::floor(n * p - reach)); k <= last; ++k) {
      const T at = k;
      const T term = detail_binomial::log_density(at, total_count, probs);
      if (term > -700.0) sum = sum - exp(term) * term;
    }
    return sum;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& total_count, const T& probs) {
    return total_count * probs;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& total_count, const T& probs) {
    return total_count * probs * (1.0 - probs);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& total_count, const T& probs) {
    return minimum(floor((total_count + 1.0) * probs), total_count);
  }

 private:
  /// The arguments of F(k) = I_{1 - p}(n - k, k + 1), held where that is defined.
  template <class T>
  ELBO_INLINE static T successes(const T& x, const T& n) {
    return select((x < 0.0) | (x >= n), 1.0, floor(x) + 1.0);
  }
  template <class T>
  ELBO_INLINE static T rest(const T& x, const T& n) {
    return select((x < 0.0) | (x >= n), 1.0, n - floor(x));
  }
  static double few(Noise::Stream<double>& stream, double n, double p) {
    double u = stream.uniform(), mass = std::exp(n * std::log1p(-p)), k = 0;
    const double odds = p / (1 - p);
    while (u > mass && k < n && k < 1000) {
      u -= mass;
      ++k;
      mass *= (n - k + 1) / k * odds;
    }
    return k;
  }
  static double many(Noise::Stream<double>& stream, double n, double p) {
    const double sd = std::sqrt(n * p * (1 - p));
    const double b = 1.15 + 2.53 * sd;
    const double a = -0.0873 + 0.0248 * b + 0.01 * p;
    const double alpha = (2.83 + 5.1 / b) * sd;
    const double box = 0.92 - 4.2 / b;
    const double at_mode = detail_binomial::log_density(std::floor((n + 1) * p), n, p);
    while (true) {
      const double u = stream.uniform() - 0.5;
      const double v = stream.uniform();
      const double us = 0.5 - std::abs(u);
      const double k = std::floor((2 * a / us + b) * u + n * p + 0.5);
      if (us >= 0.07 && v <= box) return k;
      if (k < 0 || k > n) continue;
      if (std::log(v * alpha / (a / (us * us) + b)) <=
          detail_binomial::log_density(k, n, p) - at_mode)
        return k;
    }
  }
};
}  // namespace laws

/// The number of successes in `total_count` trials.
/// **Equation** p(k) = C(total_count, k) probs^k (1 - probs)^(total_count - k)
/// **Ranges** total_count a whole number >= 0, probs in [0, 1]; DomainError otherwise.
class Binomial final : public Univariate<Binomial, laws::Binomial> {
 public:
  Binomial(at::Tensor total_count, at::Tensor probs, Validate validate = Validate::kYes)
      : Univariate({std::move(total_count), std::move(probs)}, validate) {}
  [[nodiscard]] const at::Tensor& total_count() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& probs() const { return parameter(1); }
};

}  // namespace elbo
