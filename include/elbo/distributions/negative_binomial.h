#pragma once

#include "elbo/distributions/binomial.h"
#include "elbo/distributions/gamma.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
namespace detail_negative_binomial {

/// log of Gamma(x + r) / (x! Gamma(r)) p^x (1 - p)^r; the plain form for tensors.
template <math::Value V>
ELBO_INLINE V log_density(const V& x, const V& r, const V& p) {
  // The last of x + r trials is a failure.
  return select(x == 0.0, r * log1p(-p),
                detail_binomial::log_density(x, x + r, p) + log(r / (x + r)));
}
template <class T>
requires std::is_same_v<T, at::Tensor> T log_density(const T& x, const T& r, const T& p) {
  return lgamma(x + r) - lgamma(x + 1.0) - lgamma(r) + xlogy(x, p) + r * log1p(-p);
}
template <int N, class S>
ELBO_INLINE Dual<N, S> log_density(const Dual<N, S>& x, const Dual<N, S>& r, const Dual<N, S>& p) {
  const S k = x.value, q = 1.0 - p.value;
  const S both = digamma(k + r.value);
  const S along_p = select(k == 0.0, S(0.0), k / p.value) - r.value / q;
  return chain(x, r, log_density(k, r.value, p.value), both - digamma(k + 1.0) + log(p.value),
               select(k == 0.0, S(0.0), both - digamma(r.value)) + log1p(-p.value)) +
         chain(p, S(0.0), along_p);
}

}  // namespace detail_negative_binomial

struct NegativeBinomial {
  static constexpr const char* kName = "NegativeBinomial";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"total_count", Range::kPositive}, {"probs", Range::kUnit}}};
  static constexpr auto kSupport = Constraint::Kind::kCount;
  static constexpr const char* kRequirement = "probs < 1";
  template <class T>
  static auto valid(const T&, const T& probs) {
    return probs < 1.0;
  }

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& total_count, const T& probs) {
    const auto outside = detail_poisson::outside(x);
    const T k = select(outside, 0.0, x);
    return select(outside, -INFINITY, detail_negative_binomial::log_density(k, total_count, probs));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T cdf(const T& x, const T& total_count, const T& probs) {
    return select(
        x < 0.0, 0.0,
        select(x == INFINITY, 1.0, detail_binomial::upper(successor(x), total_count, probs)));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T log_cdf(const T& x, const T& total_count, const T& probs) {
    return select(
        x < 0.0, -INFINITY,
        select(x == INFINITY, 0.0, detail_binomial::log_upper(successor(x), total_count, probs)));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T log_survival(const T& x, const T& total_count, const T& probs) {
    return select(x < 0.0, 0.0,
                  select(x == INFINITY, -INFINITY,
                         detail_binomial::log_lower(successor(x), total_count, probs)));
  }
  template <math::Scalar T>
  ELBO_INLINE static T icdf(const T& u, const T& total_count, const T& probs) {
    const double r = detail_poisson::value_of(total_count);
    const double p = detail_poisson::value_of(probs);
    const double v = detail_poisson::value_of(u);
    return detail_poisson::smallest<NegativeBinomial>(v, guess(v, r, p), INFINITY, r, p);
  }
  /// Where to look for the quantile.
  static double guess(double u, double r, double p) {
    return detail_poisson::near_normal(u, r * p / (1 - p), std::sqrt(r * p) / (1 - p),
                                       (1 + p) / std::sqrt(r * p));
  }
  static double sample(Noise::Stream<double>& stream, const double* p) {
    if (!(p[0] < INFINITY)) return p[0] * p[1];
    return Poisson::standard(stream, Gamma::standard(stream, p[0]) * (p[1] / (1 - p[1])));
  }
  template <class T>
  ELBO_INLINE static T mean(const T& total_count, const T& probs) {
    return total_count * probs / (1.0 - probs);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& total_count, const T& probs) {
    return total_count * probs / square(1.0 - probs);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& total_count, const T& probs) {
    return select(total_count > 1.0, floor((total_count - 1.0) * probs / (1.0 - probs)), 0.0);
  }

 private:
  /// floor(x) + 1 on the support; 1 outside.
  template <class T>
  ELBO_INLINE static T successor(const T& x) {
    return select((x < 0.0) | (x == INFINITY), 1.0, floor(x) + 1.0);
  }
};
}  // namespace laws

/// The number of successes until `total_count` failures have come, on 0, 1, 2, …; a Poisson law
/// whose rate is Gamma(total_count, (1 - probs) / probs). `total_count` need not be whole.
/// **Equation** p(k) = Gamma(k + total_count) / (k! Gamma(total_count))
///   probs^k (1 - probs)^total_count
/// **Ranges** total_count > 0, probs in [0, 1); DomainError otherwise.
class NegativeBinomial final : public Univariate<NegativeBinomial, laws::NegativeBinomial> {
 public:
  NegativeBinomial(at::Tensor total_count, at::Tensor probs, Validate validate = Validate::kYes)
      : Univariate({std::move(total_count), std::move(probs)}, validate) {}
  [[nodiscard]] const at::Tensor& total_count() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& probs() const { return parameter(1); }
};

}  // namespace elbo
