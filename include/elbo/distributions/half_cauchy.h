#pragma once

#include "elbo/distributions/cauchy.h"

namespace elbo {

namespace laws {
struct HalfCauchy {
  static constexpr const char* kName = "HalfCauchy";
  static constexpr std::array<Parameter, 1> kParameters = {{{"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kNonNegative;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& scale) {
    return select(x < 0.0, -INFINITY,
                  -log(0.5 * std::numbers::pi * scale) - detail_cauchy::log1p_square(x / scale));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& scale) {
    const T t = x / scale;
    return select(x < 0.0, 0.0, select(t <= 1.0, center(t), 1.0 - 2.0 * detail_cauchy::tail(t)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& scale) {
    const T t = x / scale;
    return select(x <= 0.0, -INFINITY,
                  select(t <= 1.0, log(center(t)), log1p(-2.0 * detail_cauchy::tail(t))));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& scale) {
    const T t = x / scale;
    return select(x < 0.0, 0.0,
                  select(t <= 1.0, log1p(-center(t)), log(2.0 * detail_cauchy::tail(t))));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& scale) {
    return scale * select(u < 0.5, 1.0 / cot_pi(0.5 * u), cot_pi(0.5 * (1.0 - u)));
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& scale) {
    return scale * cot_pi(0.5 * u);  // 1 - u is as uniform as u
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& scale) {
    return scale * constant(z / scale);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& scale) {
    return log(2.0 * std::numbers::pi * scale);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& scale) {
    return INFINITY * scale;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& scale) {
    return INFINITY * scale;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& scale) {
    return 0.0 * scale;
  }

 private:
  /// F(t) where t <= 1, else that at 1
  template <class T>
  ELBO_INLINE static T center(const T& t) {
    return 2.0 * std::numbers::inv_pi * atan(select(t <= 1.0, t, 1.0));
  }
};
}  // namespace laws

/// The law of |x| where x is Cauchy(0, scale); its mean is infinite.
/// By inverse CDF (AEVB 2.4, approach 1).
/// **Equation** F(x) = 2 atan(x / scale) / pi, x >= 0
/// **Ranges** scale > 0; DomainError otherwise.
class HalfCauchy final : public Univariate<HalfCauchy, laws::HalfCauchy> {
 public:
  explicit HalfCauchy(at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& scale() const { return parameter(0); }
};

}  // namespace elbo
