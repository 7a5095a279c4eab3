#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Laplace {
  static constexpr const char* kName = "Laplace";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"loc", Range::kReal}, {"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kReal;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& loc, const T& scale) {
    return -abs(x - loc) / scale - log(2.0 * scale);
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& loc, const T& scale) {
    const T z = (x - loc) / scale;
    return select(z < 0.0, tail(z), 1.0 - tail(z));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& loc, const T& scale) {
    return log_of_cdf((x - loc) / scale);
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& loc, const T& scale) {
    return log_of_cdf((loc - x) / scale);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& loc, const T& scale) {
    return loc + scale * select(u < 0.5, log(2.0 * u), -log(2.0 * (1.0 - u)));
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
    return 1.0 + log(2.0 * scale);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& loc, const T& scale) {
    return loc;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& loc, const T& scale) {
    return 2.0 * square(scale);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& loc, const T& scale) {
    return loc;
  }

 private:
  /// F(-|z|); not of abs(z), whose slope at 0 is no one-sided derivative
  template <class T>
  ELBO_INLINE static T tail(const T& z) {
    return 0.5 * exp(select(z < 0.0, z, -z));
  }
  template <class T>
  ELBO_INLINE static T log_of_cdf(const T& z) {
    return select(z < 0.0, z - std::numbers::ln2, log1p(-tail(z)));
  }
};
}  // namespace laws

/// The law of Laplace; of location and scale (AEVB 2.4, approach 2), its noise by inverse CDF.
/// **Equation** p(x) = e^(-|x - loc| / scale) / (2 scale)
/// **Ranges** scale > 0; DomainError otherwise.
class Laplace final : public Univariate<Laplace, laws::Laplace> {
 public:
  Laplace(at::Tensor loc, at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(loc), std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& loc() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& scale() const { return parameter(1); }
};

}  // namespace elbo
