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
  /// A draw of the law of rate 1.
  template <class V>
  ELBO_INLINE static V standard(Noise::Stream<V>& stream, const V& concentration) {
    const auto draw = parts(stream, concentration);
    return draw.value * exp(draw.log_boost);
  }
  /// Its logarithm, which small concentrations do not underflow.
  template <class V>
  ELBO_INLINE static V log_standard(Noise::Stream<V>& stream, const V& concentration) {
    const auto draw = parts(stream, concentration);
    return log(draw.value) + draw.log_boost;
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& concentration, const T& rate) {
    return gamma_draw(concentration, constant(z * rate)) / rate;
  }
  template <class V>
  ELBO_INLINE static V sample(Noise::Stream<V>& stream, const V* p) {
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

 private:
  template <class V>
  struct Parts {
    V value, log_boost;
  };
  /// Marsaglia and Tsang (2000), with their squeeze; below 1 by their boost, whose factor
  /// e^log_boost may underflow.
  template <class V>
  ELBO_INLINE static Parts<V> parts(Noise::Stream<V>& stream, const V& concentration) {
    const auto small = concentration < 1.0;
    V log_boost = 0.0;
    if (any(small)) {
      auto other = stream.split(1);
      log_boost = select(small, log(other.uniform()) / concentration, 0.0);
    }
    const V d = select(small, concentration + 1.0, concentration) - 1.0 / 3;
    const V c = 1.0 / sqrt(9.0 * d);
    V value = NAN;
    auto open = concentration > 0.0;
    while (any(open)) {
      const V normal = stream.normal();
      const V u = stream.uniform();
      const V t = 1.0 + c * normal;
      const V v = t * t * t;
      const V s = normal * normal;
      auto taken = (t > 0.0) & (u < 1.0 - 0.0331 * s * s);
      if (any(open & !taken))
        taken = taken | ((t > 0.0) & (log(u) < 0.5 * s + d - d * v + d * log(v)));
      value = select(open & taken, d * v, value);
      open = open & !taken;
    }
    return {value, log_boost};
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
