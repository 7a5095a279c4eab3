#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Rayleigh {
  static constexpr const char* kName = "Rayleigh";
  static constexpr std::array<Parameter, 1> kParameters = {{{"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kNonNegative;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& scale) {
    const T t = x / scale;
    return select((x < 0.0) | (x == INFINITY), -INFINITY, log(t) - 0.5 * square(t) - log(scale));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& scale) {
    return select(x < 0.0, 0.0, -expm1(-0.5 * square(x / scale)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& scale) {
    const T t = x / scale;  // its square may underflow
    return select(x <= 0.0, -INFINITY,
                  select(t < 1e-8, 2.0 * log(t) - std::numbers::ln2, log1mexp(-0.5 * square(t))));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& scale) {
    return select(x < 0.0, 0.0, -0.5 * square(x / scale));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& scale) {
    return scale * sqrt(-2.0 * log1p(-u));
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& scale) {
    return scale * sqrt(-2.0 * log(u));  // 1 - u is as uniform as u
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& scale) {
    return scale * constant(z / scale);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& scale) {
    return 1.0 + log(scale / std::numbers::sqrt2) + 0.5 * std::numbers::egamma;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& scale) {
    return scale * std::sqrt(0.5 * std::numbers::pi);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& scale) {
    return square(scale) * (2.0 - 0.5 * std::numbers::pi);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& scale) {
    return scale;
  }
};
}  // namespace laws

/// The law of Rayleigh, of the length of a normal vector in the plane.
/// By inverse CDF (AEVB 2.4, approach 1).
/// **Equation** F(x) = 1 - e^(-x^2 / (2 scale^2)), x >= 0
/// **Ranges** scale > 0; DomainError otherwise.
class Rayleigh final : public Univariate<Rayleigh, laws::Rayleigh> {
 public:
  explicit Rayleigh(at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& scale() const { return parameter(0); }
};

}  // namespace elbo
