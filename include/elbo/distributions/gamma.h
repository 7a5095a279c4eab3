#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Gamma {
  static constexpr const char* kName = "Gamma";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"concentration", Range::kPositive}, {"rate", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kPositive;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& concentration, const T& rate) {
    return select(x < 0.0, -INFINITY,
                  concentration * log(rate) + xlogy(concentration - 1.0, x) - rate * x -
                      lgamma(concentration));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& concentration, const T& rate) {
    return gamma_p(concentration, rate * x);
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& concentration, const T& rate) {
    return log_gamma_p(concentration, rate * x);
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& concentration, const T& rate) {
    return log_gamma_q(concentration, rate * x);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& concentration, const T& rate) {
    return gamma_p_inverse(concentration, u) / rate;
  }
  /// Marsaglia and Tsang (2000); below 1 by their boost, in logarithms.
  static double standard(Noise::Stream& stream, double concentration) {
    if (!(concentration > 0)) return NAN;
    const double boost = concentration < 1 ? std::log(stream.uniform()) / concentration : 0;
    const double d = (concentration < 1 ? concentration + 1 : concentration) - 1.0 / 3;
    const double c = 1 / std::sqrt(9 * d);
    while (true) {
      const double normal = stream.normal();
      const double t = 1 + c * normal;
      if (t <= 0) continue;
      const double v = t * t * t;
      if (std::log(stream.uniform()) < 0.5 * normal * normal + d - d * v + d * std::log(v))
        return boost == 0 ? d * v : std::exp(std::log(d * v) + boost);
    }
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& concentration, const T& rate) {
    return gamma_draw(concentration, constant(z * rate)) / rate;
  }
  static double sample(Noise::Stream& stream, const double* p) {
    return standard(stream, p[0]) / p[1];
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& concentration, const T& rate) {
    return concentration - log(rate) + lgamma(concentration) +
           (1.0 - concentration) * digamma(concentration);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& concentration, const T& rate) {
    return concentration / rate;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& concentration, const T& rate) {
    return concentration / square(rate);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& concentration, const T& rate) {
    return select(concentration > 1.0, (concentration - 1.0) / rate, 0.0);
  }
};
}  // namespace laws

/// The gamma law; draws by rejection, reparameterised implicitly (AEVB 2.4 names it a composition).
/// **Equation** p(x) = rate^concentration x^(concentration - 1) e^(-rate x) / Gamma(concentration)
/// **Ranges** concentration > 0, rate > 0; DomainError otherwise.
class Gamma final : public Univariate<Gamma, laws::Gamma> {
 public:
  Gamma(at::Tensor concentration, at::Tensor rate, Validate validate = Validate::kYes)
      : Univariate({std::move(concentration), std::move(rate)}, validate) {}
  [[nodiscard]] const at::Tensor& concentration() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& rate() const { return parameter(1); }
};

}  // namespace elbo
