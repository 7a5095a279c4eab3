#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
namespace detail_cauchy {
/// log(1 + z^2), also where z^2 overflows
template <class T>
T log1p_square(const T& z) {
  const T far = select(abs(z) <= 1.0, 1.0, abs(z));
  return 2.0 * log(far) + log1p(square(select(abs(z) <= 1.0, z, 1.0 / far)));
}
/// atan(1 / z) / pi where |z| > 1 (the tails, to all digits), else that at 1
template <class T>
T tail(const T& z) {
  return atan(1.0 / select(abs(z) <= 1.0, 1.0, z)) / std::numbers::pi;
}
}  // namespace detail_cauchy

struct Cauchy {
  static constexpr const char* kName = "Cauchy";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"loc", Range::kReal}, {"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kReal;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& loc, const T& scale) {
    return -log(std::numbers::pi * scale) - detail_cauchy::log1p_square((x - loc) / scale);
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& loc, const T& scale) {
    return standard_cdf((x - loc) / scale);
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
    return loc - scale * cot_pi(u);
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
    return log(4.0 * std::numbers::pi * scale);
  }
  /// Undefined: NaN.
  template <class T>
  ELBO_INLINE static T mean(const T& loc, const T& scale) {
    return NAN * loc;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& loc, const T& scale) {
    return INFINITY * scale;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& loc, const T& scale) {
    return loc;
  }

 private:
  template <class T>
  ELBO_INLINE static T standard_cdf(const T& z) {
    const T tail = detail_cauchy::tail(z);
    return select(abs(z) <= 1.0, 0.5 + atan(z) / std::numbers::pi,
                  select(z < 0.0, -tail, 1.0 - tail));
  }
  template <class T>
  ELBO_INLINE static T log_of_cdf(const T& z) {
    return select(z > 1.0, log1p(-detail_cauchy::tail(z)), log(standard_cdf(z)));
  }
};
}  // namespace laws

/// The Cauchy law, which has no mean; by inverse CDF (AEVB 2.4, approach 1).
/// **Equation** F(x) = 1/2 + atan((x - loc) / scale) / pi
/// **Ranges** scale > 0; DomainError otherwise.
class Cauchy final : public Univariate<Cauchy, laws::Cauchy> {
 public:
  Cauchy(at::Tensor loc, at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(loc), std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& loc() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& scale() const { return parameter(1); }
};

}  // namespace elbo
