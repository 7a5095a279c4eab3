#pragma once

#include "elbo/distributions/gamma.h"

namespace elbo {

namespace laws {
struct Chi2 {
  static constexpr const char* kName = "Chi2";
  static constexpr std::array<Parameter, 1> kParameters = {{{"df", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kPositive;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& df) {
    return select(x < 0.0, -INFINITY,
                  xlogy(0.5 * df - 1.0, x) - 0.5 * (x + df * std::numbers::ln2) - lgamma(0.5 * df));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& df) {
    return gamma_p(0.5 * df, 0.5 * x);
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& df) {
    return log_gamma_p(0.5 * df, 0.5 * x);
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& df) {
    return log_gamma_q(0.5 * df, 0.5 * x);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& df) {
    return 2.0 * gamma_p_inverse(0.5 * df, u);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& df) {
    return 2.0 * gamma_draw(0.5 * df, constant(0.5 * z));
  }
  template <class V>
  ELBO_INLINE static V sample(Noise::Stream<V>& stream, const V* p) {
    return 2.0 * Gamma::standard<V>(stream, 0.5 * p[0]);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& df) {
    const T half = 0.5 * df;
    return half + std::numbers::ln2 + lgamma(half) + (1.0 - half) * digamma(half);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& df) {
    return df + 0.0;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& df) {
    return 2.0 * df;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& df) {
    return select(df > 2.0, df - 2.0, 0.0);
  }
};
}  // namespace laws

/// The chi-squared law, of the sum of df squared standard normals; a gamma law (AEVB 2.4 names it a
/// composition).
/// **Equation** p(x) = x^(df/2 - 1) e^(-x/2) / (2^(df/2) Gamma(df/2))
/// **Ranges** df > 0; DomainError otherwise.
class Chi2 final : public Univariate<Chi2, laws::Chi2> {
 public:
  explicit Chi2(at::Tensor df, Validate validate = Validate::kYes)
      : Univariate({std::move(df)}, validate) {}
  [[nodiscard]] const at::Tensor& df() const { return parameter(0); }
};

}  // namespace elbo
