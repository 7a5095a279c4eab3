#pragma once

#include "elbo/distributions/gamma.h"

namespace elbo {

namespace laws {
struct InverseGamma {
  static constexpr const char* kName = "InverseGamma";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"concentration", Range::kPositive}, {"rate", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kPositive;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& concentration, const T& rate) {
    return select(x <= 0.0, -INFINITY,
                  concentration * log(rate) - (concentration + 1.0) * log(x) - rate / x -
                      lgamma(concentration));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& concentration, const T& rate) {
    return select(x <= 0.0, 0.0, gamma_q(concentration, rate / x));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& concentration, const T& rate) {
    return select(x <= 0.0, -INFINITY, log_gamma_q(concentration, rate / x));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& concentration, const T& rate) {
    return select(x <= 0.0, 0.0, log_gamma_p(concentration, rate / x));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& concentration, const T& rate) {
    return rate / gamma_q_inverse(concentration, u);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& concentration, const T& rate) {
    return rate / gamma_draw(concentration, constant(rate / z));
  }
  template <class V>
  ELBO_INLINE static V sample(Noise::Stream<V>& stream, const V* p) {
    return p[1] / Gamma::standard(stream, p[0]);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& concentration, const T& rate) {
    return concentration + log(rate) + lgamma(concentration) -
           (1.0 + concentration) * digamma(concentration);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& concentration, const T& rate) {
    return select(concentration > 1.0, rate / (concentration - 1.0), INFINITY);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& concentration, const T& rate) {
    return select(concentration > 2.0, square(rate / (concentration - 1.0)) / (concentration - 2.0),
                  INFINITY);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& concentration, const T& rate) {
    return rate / (concentration + 1.0);
  }
};
}  // namespace laws

/// The law of 1 / x where x has the gamma law; drawn so.
/// **Equation** p(x) = rate^concentration x^(-concentration - 1) e^(-rate / x) /
/// Gamma(concentration)
/// **Ranges** concentration > 0, rate > 0; DomainError otherwise.
class InverseGamma final : public Univariate<InverseGamma, laws::InverseGamma> {
 public:
  InverseGamma(at::Tensor concentration, at::Tensor rate, Validate validate = Validate::kYes)
      : Univariate({std::move(concentration), std::move(rate)}, validate) {}
  [[nodiscard]] const at::Tensor& concentration() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& rate() const { return parameter(1); }
};

}  // namespace elbo
