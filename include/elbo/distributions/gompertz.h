#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Gompertz {
  static constexpr const char* kName = "Gompertz";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"shape", Range::kPositive}, {"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kNonNegative;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& shape, const T& scale) {
    const T t = x / scale;
    return select((x < 0.0) | (x == INFINITY), -INFINITY,
                  log(shape / scale) + t - shape * expm1(t));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& shape, const T& scale) {
    return select(x < 0.0, 0.0, -expm1(-shape * expm1(x / scale)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& shape, const T& scale) {
    return select(x <= 0.0, -INFINITY, log1mexp(-shape * expm1(x / scale)));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& shape, const T& scale) {
    return select(x < 0.0, 0.0, -shape * expm1(x / scale));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& shape, const T& scale) {
    return scale * log1p(-log1p(-u) / shape);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& shape,
                            const T& scale) {  // 1 - u is as uniform as u
    return scale * log1p(-log(u) / shape);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& shape, const T& scale) {
    const T t = constant(z / scale);
    return scale * with_slope(t, log1p(constant(shape * expm1(t)) / shape));
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& shape, const T& scale) {
    return 1.0 - log(shape / scale) - expint_e1_scaled(shape);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& shape, const T& scale) {
    return scale * expint_e1_scaled(shape);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& shape, const T& scale) {
    return select(shape < 1.0, -scale * log(shape), 0.0);
  }
};
}  // namespace laws

/// The law of Gompertz, whose hazard grows exponentially; by inverse CDF (AEVB 2.4, approach 1).
/// **Equation** F(x) = 1 - exp(-shape (e^(x / scale) - 1)), x >= 0
/// **Ranges** shape > 0, scale > 0; DomainError otherwise.
class Gompertz final : public Univariate<Gompertz, laws::Gompertz> {
 public:
  Gompertz(at::Tensor shape, at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(shape), std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& shape() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& scale() const { return parameter(1); }
};

}  // namespace elbo
