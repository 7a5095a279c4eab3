#pragma once

#include "elbo/distributions/gamma.h"

namespace elbo {

namespace laws {
struct Beta {
  static constexpr const char* kName = "Beta";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"concentration1", Range::kPositive}, {"concentration0", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kUnitInterval;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& concentration1, const T& concentration0) {
    return select((x < 0.0) | (x > 1.0), -INFINITY,
                  xlogy(concentration1 - 1.0, x) + xlog1py(concentration0 - 1.0, -x) -
                      lbeta(concentration1, concentration0));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& concentration1, const T& concentration0) {
    return beta_i(concentration1, concentration0, x);
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& concentration1, const T& concentration0) {
    return log_beta_i(concentration1, concentration0, x);
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& concentration1, const T& concentration0) {
    return log_beta_ic(concentration1, concentration0, x);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& concentration1, const T& concentration0) {
    return beta_i_inverse(concentration1, concentration0, u);
  }
  template <class V>
  ELBO_INLINE static V sample(Noise::Stream<V>& stream, const V* p) {
    auto other = stream.split(2);
    const V log_odds = Gamma::log_standard(stream, p[0]) - Gamma::log_standard(other, p[1]);
    // The ends themselves may have no density.
    return minimum(maximum(sigmoid(log_odds), 2.3e-308), 1 - 0x1p-53);
  }
  template <class T>
  requires(!std::is_same_v<T, at::Tensor>) ELBO_INLINE static T
      implicit(const T& z, const T& concentration1, const T& concentration0) {
    return sigmoid(beta_draw_log_odds(concentration1, concentration0, z.value, 1.0 - z.value));
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& concentration1, const T& concentration0) {
    const T both = concentration1 + concentration0;
    return lbeta(concentration1, concentration0) -
           (concentration1 - 1.0) * digamma(concentration1) -
           (concentration0 - 1.0) * digamma(concentration0) + (both - 2.0) * digamma(both);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& concentration1, const T& concentration0) {
    return concentration1 / (concentration1 + concentration0);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& concentration1, const T& concentration0) {
    const T both = concentration1 + concentration0;
    return (concentration1 / both) * (concentration0 / both) / (both + 1.0);
  }
  /// NaN where there are two, or none.
  template <class T>
  ELBO_INLINE static T mode(const T& concentration1, const T& concentration0) {
    const T a = concentration1 - 1.0, b = concentration0 - 1.0;
    const T inside = a / (a + b);
    const T right = select(b < 0.0, 1.0, inside);
    return select(a < 0.0, select(b < 0.0, NAN, 0.0 * b), right);
  }
};
}  // namespace laws

/// The beta law: the first part of a gamma draw and another (AEVB 2.4 names it a composition),
/// reparameterised implicitly.
/// **Equation** p(x) = x^(concentration1 - 1) (1 - x)^(concentration0 - 1) / B(c1, c0)
/// **Ranges** concentration1 > 0, concentration0 > 0; DomainError otherwise.
class Beta final : public Univariate<Beta, laws::Beta> {
 public:
  Beta(at::Tensor concentration1, at::Tensor concentration0, Validate validate = Validate::kYes)
      : Univariate({std::move(concentration1), std::move(concentration0)}, validate) {}
  [[nodiscard]] const at::Tensor& concentration1() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& concentration0() const { return parameter(1); }
};

}  // namespace elbo
