#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Weibull {
  static constexpr const char* kName = "Weibull";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"scale", Range::kPositive}, {"concentration", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kNonNegative;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& scale, const T& concentration) {
    const T t = x / scale;
    return select(
        (x < 0.0) | (x == INFINITY), -INFINITY,
        log(concentration / scale) + xlogy(concentration - 1.0, t) - pow(t, concentration));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& scale, const T& concentration) {
    return select(x < 0.0, 0.0, -expm1(-pow(x / scale, concentration)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& scale, const T& concentration) {
    const T log_hazard =
        concentration * log(x / scale);  // below -37 it is log F itself, and e to it may underflow
    return select(x <= 0.0, -INFINITY,
                  select(log_hazard < -37.0, log_hazard,
                         log1mexp(-exp(select(log_hazard < -37.0, -37.0, log_hazard)))));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& scale, const T& concentration) {
    return select(x < 0.0, 0.0, -pow(x / scale, concentration));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& scale, const T& concentration) {
    return scale * pow(-log1p(-u), 1.0 / concentration);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& scale, const T& concentration) {
    return scale * pow(-log(u), 1.0 / concentration);  // 1 - u is as uniform as u
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& scale, const T& concentration) {
    return std::numbers::egamma * (1.0 - 1.0 / concentration) + log(scale / concentration) + 1.0;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& scale, const T& concentration) {
    return scale * exp(lgamma(1.0 + 1.0 / concentration));
  }
  template <class T>
  ELBO_INLINE static T variance(const T& scale, const T& concentration) {
    const T first = 2.0 * lgamma(1.0 + 1.0 / concentration);
    return square(scale) * exp(first) * expm1(lgamma(1.0 + 2.0 / concentration) - first);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& scale, const T& concentration) {
    const T k = select(concentration > 1.0, concentration, 2.0);
    return select(concentration > 1.0, scale * exp(log1p(-1.0 / k) / k), 0.0);
  }
};
}  // namespace laws

/// The law of Weibull; by inverse CDF (AEVB 2.4, approach 1).
/// **Equation** F(x) = 1 - exp(-(x / scale)^concentration), x >= 0
/// **Ranges** scale > 0, concentration > 0; DomainError otherwise.
class Weibull final : public Univariate<Weibull, laws::Weibull> {
 public:
  Weibull(at::Tensor scale, at::Tensor concentration, Validate validate = Validate::kYes)
      : Univariate({std::move(scale), std::move(concentration)}, validate) {}
  [[nodiscard]] const at::Tensor& scale() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& concentration() const { return parameter(1); }
};

}  // namespace elbo
