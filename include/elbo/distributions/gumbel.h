#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Gumbel {
  static constexpr const char* kName = "Gumbel";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"loc", Range::kReal}, {"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kReal;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& loc, const T& scale) {
    const T z = (x - loc) / scale;
    return select(x == -INFINITY, -INFINITY, -z - exp(-z) - log(scale));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& loc, const T& scale) {
    return exp(-exp((loc - x) / scale));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& loc, const T& scale) {
    return -exp((loc - x) / scale);
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& loc, const T& scale) {
    const T z = (x - loc) / scale;  // above 37 it is -log(1 - F) itself, and e^-z may underflow
    return select(z > 37.0, -z, log1mexp(-exp(-select(z > 37.0, 37.0, z))));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& loc, const T& scale) {
    return loc - scale * log(-log(u));
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& loc, const T& scale) {
    return loc - scale * log(-log1p(-u));  // u -> 0 is the long tail
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& loc, const T& scale) {
    return implicit_location_scale(z, loc, scale);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& loc, const T& scale) {
    return log(scale) + 1.0 + std::numbers::egamma;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& loc, const T& scale) {
    return loc + std::numbers::egamma * scale;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& loc, const T& scale) {
    return square(std::numbers::pi * scale) / 6.0;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& loc, const T& scale) {
    return loc;
  }
};
}  // namespace laws

/// The law of Gumbel, of the largest of many; by inverse CDF (AEVB 2.4, approach 1).
/// **Equation** F(x) = exp(-e^(-(x - loc) / scale))
/// **Ranges** scale > 0; DomainError otherwise.
class Gumbel final : public Univariate<Gumbel, laws::Gumbel> {
 public:
  Gumbel(at::Tensor loc, at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(loc), std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& loc() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& scale() const { return parameter(1); }
};

}  // namespace elbo
