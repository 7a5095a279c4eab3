#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Kumaraswamy {
  static constexpr const char* kName = "Kumaraswamy";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"concentration1", Range::kPositive}, {"concentration0", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kUnitInterval;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& concentration1, const T& concentration0) {
    const T power = concentration1 * log(x);  // log x^concentration1
    const T rest = concentration0 - 1.0;
    return select((x < 0.0) | (x > 1.0), -INFINITY,
                  log(concentration1) + log(concentration0) + xlogy(concentration1 - 1.0, x) +
                      select(power > -std::numbers::ln2, xlogy(rest, -expm1(power)),
                             xlog1py(rest, -exp(power))));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& concentration1, const T& concentration0) {
    const T f = -expm1(concentration0 * log1mexp(concentration1 * log(x)));
    return select(x <= 0.0, 0.0, select(x >= 1.0, 1.0, f));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& concentration1, const T& concentration0) {
    const T power = concentration1 * log(x);
    // Where e^power underflows, F = concentration0 e^power to all digits.
    const T f = select(power < -600.0, log(concentration0) + power,
                       log1mexp(concentration0 * log1mexp(power)));
    return select(x <= 0.0, -INFINITY, select(x >= 1.0, 0.0, f));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& concentration1, const T& concentration0) {
    const T s = concentration0 * log1mexp(concentration1 * log(x));
    return select(x <= 0.0, 0.0, select(x >= 1.0, -INFINITY, s));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& concentration1, const T& concentration0) {
    return exp(log1mexp(log1p(-u) / concentration0) / concentration1);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& concentration1, const T& concentration0) {
    const T x = icdf(u, concentration1, concentration0);
    // The ends themselves may have no density.
    return select(x < 2.3e-308, 2.3e-308, select(x > 1 - 0x1p-53, 1 - 0x1p-53, x));
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& concentration1, const T& concentration0) {
    return 1.0 - 1.0 / concentration0 +
           (1.0 - 1.0 / concentration1) * (digamma(concentration0 + 1.0) + std::numbers::egamma) -
           log(concentration1) - log(concentration0);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& concentration1, const T& concentration0) {
    return concentration0 * exp(lbeta(1.0 + 1.0 / concentration1, concentration0));
  }
  template <class T>
  ELBO_INLINE static T variance(const T& concentration1, const T& concentration0) {
    return concentration0 * exp(lbeta(1.0 + 2.0 / concentration1, concentration0)) -
           square(mean(concentration1, concentration0));
  }
  /// NaN where there are two, or none.
  template <class T>
  ELBO_INLINE static T mode(const T& concentration1, const T& concentration0) {
    const T a = concentration1 - 1.0, b = concentration0 - 1.0;
    const T inside = exp(log(a / (concentration1 * concentration0 - 1.0)) / concentration1);
    const T right = select(b < 0.0, 1.0, inside);
    return select(a < 0.0, select(b < 0.0, NAN, 0.0 * b), right);
  }
};
}  // namespace laws

/// The law of Kumaraswamy, beta's likeness with an inverse CDF in closed form; drawn by it.
/// **Equation** F(x) = 1 - (1 - x^concentration1)^concentration0, 0 < x < 1
/// **Ranges** concentration1 > 0, concentration0 > 0; DomainError otherwise.
class Kumaraswamy final : public Univariate<Kumaraswamy, laws::Kumaraswamy> {
 public:
  Kumaraswamy(at::Tensor concentration1, at::Tensor concentration0,
              Validate validate = Validate::kYes)
      : Univariate({std::move(concentration1), std::move(concentration0)}, validate) {}
  [[nodiscard]] const at::Tensor& concentration1() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& concentration0() const { return parameter(1); }
};

}  // namespace elbo
