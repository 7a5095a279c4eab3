#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Pareto {
  static constexpr const char* kName = "Pareto";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"scale", Range::kPositive}, {"alpha", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kAtLeast;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& scale, const T& alpha) {
    return select(x < scale, -INFINITY, log(alpha / x) - alpha * log_ratio(x, scale));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& scale, const T& alpha) {
    return -expm1(-alpha * log_ratio(x, scale));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& scale, const T& alpha) {
    return select(x <= scale, -INFINITY, log1mexp(-alpha * log_ratio(x, scale)));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& scale, const T& alpha) {
    return -alpha * log_ratio(x, scale);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& scale, const T& alpha) {
    return scale * exp(-log1p(-u) / alpha);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& scale, const T& alpha) {
    return scale * exp(-log(u) / alpha);  // 1 - u is as uniform as u
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& scale, const T& alpha) {
    return log(scale / alpha) + 1.0 + 1.0 / alpha;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& scale, const T& alpha) {
    return select(alpha > 1.0, scale * alpha / (alpha - 1.0), INFINITY);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& scale, const T& alpha) {
    return select(alpha > 2.0, square(scale / (alpha - 1.0)) * alpha / (alpha - 2.0), INFINITY);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& scale, const T& alpha) {
    return scale;
  }
  template <class T>
  ELBO_INLINE static T lower(const T& scale, const T& alpha) {
    return scale;
  }

 private:
  /// log(x / scale), 0 below scale; exact close to it
  template <class T>
  ELBO_INLINE static T log_ratio(const T& x, const T& scale) {
    return math::log_ratio(select(x < scale, scale, x), scale);
  }
};
}  // namespace laws

/// The law of Pareto; by inverse CDF (AEVB 2.4, approach 1). Moments from alpha on are infinite.
/// **Equation** F(x) = 1 - (scale / x)^alpha, x >= scale
/// **Ranges** scale > 0, alpha > 0; DomainError otherwise.
class Pareto final : public Univariate<Pareto, laws::Pareto> {
 public:
  Pareto(at::Tensor scale, at::Tensor alpha, Validate validate = Validate::kYes)
      : Univariate({std::move(scale), std::move(alpha)}, validate) {}
  [[nodiscard]] const at::Tensor& scale() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& alpha() const { return parameter(1); }
};

}  // namespace elbo
