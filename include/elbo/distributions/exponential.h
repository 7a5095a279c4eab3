#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Exponential {
  static constexpr const char* kName = "Exponential";
  static constexpr std::array<Parameter, 1> kParameters = {{{"rate", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kNonNegative;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& rate) {
    return select(x < 0.0, -INFINITY, log(rate) - rate * x);
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& rate) {
    return select(x < 0.0, 0.0, -expm1(-rate * x));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& rate) {
    return select(x <= 0.0, -INFINITY, log1mexp(-rate * x));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& rate) {
    return select(x < 0.0, 0.0, -rate * x);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& rate) {
    return -log1p(-u) / rate;
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& rate) {
    return -log(u) / rate;  // 1 - u is as uniform as u
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& rate) {
    return constant(z * rate) / rate;
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& rate) {
    return 1.0 - log(rate);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& rate) {
    return 1.0 / rate;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& rate) {
    return square(1.0 / rate);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& rate) {
    return 0.0 * rate;
  }
};
}  // namespace laws

/// The exponential law; by inverse CDF (AEVB 2.4, approach 1).
/// **Equation** F(x) = 1 - e^(-rate x), x >= 0
/// **Ranges** rate > 0; DomainError otherwise.
class Exponential final : public Univariate<Exponential, laws::Exponential> {
 public:
  explicit Exponential(at::Tensor rate, Validate validate = Validate::kYes)
      : Univariate({std::move(rate)}, validate) {}
  [[nodiscard]] const at::Tensor& rate() const { return parameter(0); }
};

}  // namespace elbo
