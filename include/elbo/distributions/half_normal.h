#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct HalfNormal {
  static constexpr const char* kName = "HalfNormal";
  static constexpr std::array<Parameter, 1> kParameters = {{{"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kNonNegative;
  static constexpr bool kFromNormal = true;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& scale) {
    return select(x < 0.0, -INFINITY,
                  0.5 * std::log(2 / std::numbers::pi) - log(scale) - 0.5 * square(x / scale));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& scale) {
    return select(x < 0.0, 0.0, erf(x / (std::numbers::sqrt2 * scale)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& scale) {
    const T t = x / (std::numbers::sqrt2 * scale);
    return select(x <= 0.0, -INFINITY,
                  select(t < 0.5, log(erf(t)), log1p(-erfc(select(t < 0.5, 0.5, t)))));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& scale) {
    const T t = x / scale;
    return select(x < 0.0, 0.0,
                  select(t < 1.0, log1p(-erf(select(t < 1.0, t, 1.0) / std::numbers::sqrt2)),
                         std::numbers::ln2 + log_ndtr(-t)));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& scale) {
    const T t = -ndtri(0.5 * (1.0 - u));  // coarse where u is small: a step of Newton's method
    const T slope = std::sqrt(2 / std::numbers::pi) * exp(-0.5 * square(t));
    return scale * select(u < 0.5, t - (erf(t / std::numbers::sqrt2) - u) / slope, t);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& normal, const T& scale) {
    return scale * abs(normal);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& scale) {
    return scale * constant(z / scale);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& scale) {
    return 0.5 * std::log(0.5 * std::numbers::pi) + 0.5 + log(scale);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& scale) {
    return scale * std::sqrt(2 / std::numbers::pi);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& scale) {
    return square(scale) * (1 - 2 / std::numbers::pi);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& scale) {
    return 0.0 * scale;
  }
};
}  // namespace laws

/// The law of |x| where x is N(0, scale^2); a composition, drawn so (AEVB 2.4, approach 3).
/// **Equation** F(x) = erf(x / (scale sqrt(2))), x >= 0
/// **Ranges** scale > 0; DomainError otherwise.
class HalfNormal final : public Univariate<HalfNormal, laws::HalfNormal> {
 public:
  explicit HalfNormal(at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& scale() const { return parameter(0); }
};

}  // namespace elbo
