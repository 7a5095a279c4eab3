#pragma once

#include "elbo/distributions/poisson.h"
#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Geometric {
  static constexpr const char* kName = "Geometric";
  static constexpr std::array<Parameter, 1> kParameters = {{{"probs", Range::kUnit}}};
  static constexpr auto kSupport = Constraint::Kind::kCount;
  static constexpr const char* kRequirement = "probs > 0";
  template <class T>
  static auto valid(const T& probs) {
    return probs > 0.0;
  }

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& probs) {
    const auto outside = detail_poisson::outside(x);
    const T k = select(outside, 0.0, x);
    return select(outside, -INFINITY, xlog1py(k, -probs) + log(probs));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& probs) {
    return select(x < 0.0, 0.0, -expm1((floor(x) + 1.0) * log1p(-probs)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& probs) {
    return select(x < 0.0, -INFINITY, log1mexp((floor(x) + 1.0) * log1p(-probs)));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& probs) {
    return select(x < 0.0, 0.0, (floor(x) + 1.0) * log1p(-probs));
  }
  template <math::Scalar T>
  ELBO_INLINE static T icdf(const T& u, const T& probs) {
    const double p = detail_poisson::value_of(probs);
    const double v = detail_poisson::value_of(u);
    return detail_poisson::smallest<Geometric>(v, std::ceil(std::log1p(-v) / std::log1p(-p) - 1),
                                               INFINITY, p);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& probs) {  // 1 - u is as uniform as u
    return floor(log(u) / log1p(-probs));
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& probs) {
    return -log(probs) - xlog1py(1.0 - probs, -probs) / probs;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& probs) {
    return (1.0 - probs) / probs;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& probs) {
    return (1.0 - probs) / square(probs);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& probs) {
    return 0.0 * probs;
  }
};
}  // namespace laws

/// The number of failures before the first success, on 0, 1, 2, … (SciPy's `geom` less 1).
/// **Equation** p(k) = (1 - probs)^k probs
/// **Ranges** probs in (0, 1]; DomainError otherwise.
class Geometric final : public Univariate<Geometric, laws::Geometric> {
 public:
  explicit Geometric(at::Tensor probs, Validate validate = Validate::kYes)
      : Univariate({std::move(probs)}, validate) {}
  [[nodiscard]] const at::Tensor& probs() const { return parameter(0); }
};

}  // namespace elbo
