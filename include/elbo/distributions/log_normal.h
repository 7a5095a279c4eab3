#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct LogNormal {
  static constexpr const char* kName = "LogNormal";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"loc", Range::kReal}, {"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kPositive;
  static constexpr bool kFromNormal = true;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& loc, const T& scale) {
    const T y = log(x);
    return select(
        x <= 0.0, -INFINITY,
        -0.5 * square((y - loc) / scale) - y - log(scale) - 0.5 * std::log(2 * std::numbers::pi));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& loc, const T& scale) {
    return select(x <= 0.0, 0.0, ndtr((log(x) - loc) / scale));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& loc, const T& scale) {
    return select(x <= 0.0, -INFINITY, log_ndtr((log(x) - loc) / scale));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& loc, const T& scale) {
    return select(x <= 0.0, 0.0, log_ndtr((loc - log(x)) / scale));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& loc, const T& scale) {
    return exp(loc + scale * ndtri(u));
  }
  template <class T>
  ELBO_INLINE static T draw(const T& normal, const T& loc, const T& scale) {
    return exp(loc + scale * normal);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& loc, const T& scale) {
    return with_log_slope(z, implicit_location_scale<T>(log(z), loc, scale));
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& loc, const T& scale) {
    return loc + log(scale) + 0.5 * std::log(2 * std::numbers::pi) + 0.5;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& loc, const T& scale) {
    return exp(loc + 0.5 * square(scale));
  }
  template <class T>
  ELBO_INLINE static T variance(const T& loc, const T& scale) {
    return expm1(square(scale)) * exp(2.0 * loc + square(scale));
  }
  template <class T>
  ELBO_INLINE static T mode(const T& loc, const T& scale) {
    return exp(loc - square(scale));
  }
};
}  // namespace laws

/// The law of e^y where y is N(loc, scale^2); a composition (AEVB 2.4, approach 3).
/// **Equation** p(x) = exp(-(log x - loc)^2 / (2 scale^2)) / (x scale sqrt(2 pi)), x > 0
/// **Ranges** scale > 0; DomainError otherwise.
class LogNormal final : public Univariate<LogNormal, laws::LogNormal> {
 public:
  LogNormal(at::Tensor loc, at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(loc), std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& loc() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& scale() const { return parameter(1); }
};

}  // namespace elbo
