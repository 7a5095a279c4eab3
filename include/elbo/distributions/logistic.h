#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Logistic {
  static constexpr const char* kName = "Logistic";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"loc", Range::kReal}, {"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kReal;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& loc, const T& scale) {
    const T size = abs(x - loc) / scale;
    return -size - 2.0 * log1p(exp(-size)) - log(scale);
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& loc, const T& scale) {
    return sigmoid((x - loc) / scale);
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& loc, const T& scale) {
    return -math::softplus((loc - x) / scale);
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& loc, const T& scale) {
    return -math::softplus((x - loc) / scale);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& loc, const T& scale) {
    return loc + scale * log(u / (1.0 - u));
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& loc, const T& scale) {
    return icdf(u, loc, scale);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& loc, const T& scale) {
    return implicit_location_scale(z, loc, scale);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& loc, const T& scale) {
    return log(scale) + 2.0;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& loc, const T& scale) {
    return loc;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& loc, const T& scale) {
    return square(std::numbers::pi * scale) / 3.0;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& loc, const T& scale) {
    return loc;
  }
};
}  // namespace laws

/// The logistic law; by inverse CDF and of location and scale (AEVB 2.4, approaches 1 and 2).
/// **Equation** F(x) = 1 / (1 + e^(-(x - loc) / scale))
/// **Ranges** scale > 0; DomainError otherwise.
class Logistic final : public Univariate<Logistic, laws::Logistic> {
 public:
  Logistic(at::Tensor loc, at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(loc), std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& loc() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& scale() const { return parameter(1); }
};

}  // namespace elbo
