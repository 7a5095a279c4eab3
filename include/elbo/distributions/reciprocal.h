#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Reciprocal {
  static constexpr const char* kName = "Reciprocal";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"low", Range::kPositive}, {"high", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kInterval;
  static constexpr const char* kRequirement = "low < high";

  template <class T>
  static auto valid(const T& low, const T& high) {
    return low < high;
  }
  template <class T>
  ELBO_INLINE static T lower(const T& low, const T& high) {
    return low;
  }
  template <class T>
  ELBO_INLINE static T upper(const T& low, const T& high) {
    return high;
  }
  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& low, const T& high) {
    return select((x < low) | (x > high), -INFINITY, -log_product(x, width(low, high)));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& low, const T& high) {
    const T whole = log_ratio(high, low);
    const T below = log_ratio(x, low);
    const T above = log_ratio(high, x);  // both, since each is exact at its own end
    return select(
        x <= low, 0.0,
        select(x >= high, 1.0, select(below < above, below / whole, 1.0 - above / whole)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& low, const T& high) {
    const T whole = log_ratio(high, low);
    const T below = log_ratio(x, low);
    const T above = log_ratio(high, x);
    return select(
        x <= low, -INFINITY,
        select(x >= high, 0.0, select(below < above, log(below / whole), log1p(-above / whole))));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& low, const T& high) {
    const T whole = log_ratio(high, low);
    const T below = log_ratio(x, low);
    const T above = log_ratio(high, x);
    return select(x <= low, 0.0,
                  select(x >= high, -INFINITY,
                         select(below < above, log1p(-below / whole), log(above / whole))));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& low, const T& high) {
    const T whole = log_ratio(high, low);
    return select(u < 0.5, low * exp(u * whole), high * exp((u - 1.0) * whole));
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& low, const T& high) {
    return minimum(low * exp(u * log_ratio(high, low)), high);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& low, const T& high) {
    const T u = constant(log(z / low) / log_ratio(high, low));
    return with_log_slope(z, (1.0 - u) * log(low) + u * log(high));
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& low, const T& high) {
    return 0.5 * (log(low) + log(high)) + log(log_ratio(high, low));
  }
  template <class T>
  ELBO_INLINE static T mean(const T& low, const T& high) {
    return (high - low) / log_ratio(high, low);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& low, const T& high) {
    // The bracket of mean ((low + high) / 2 - mean) is sqrt(low high) (cosh half - sinh half /
    // half): a series where it cancels.
    const T average = mean(low, high);
    const T half = 0.5 * log_ratio(high, low);
    const T w = square(half);
    const T series =
        w * (1.0 / 3 +
             w * (1.0 / 30 + w * (1.0 / 840 + w * (1.0 / 45360 +
                                                   w * (1.0 / 3991680 + w * (1.0 / 518918400))))));
    return average *
           select(half < 0.5, sqrt(low) * sqrt(high) * series, 0.5 * (low + high) - average);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& low, const T& high) {
    return low;
  }

 private:
  /// log(high / low), whose slopes need no quotient.
  template <class T>
  ELBO_INLINE static T width(const T& low, const T& high) {
    return with_slope(log_ratio(high, low), log(high) - log(low));
  }
};
}  // namespace laws

/// The reciprocal or log-uniform law: log x is uniform. By inverse CDF (AEVB 2.4, approach 1).
/// **Equation** F(x) = log(x / low) / log(high / low), low <= x <= high
/// **Ranges** 0 < low < high; DomainError otherwise.
class Reciprocal final : public Univariate<Reciprocal, laws::Reciprocal> {
 public:
  Reciprocal(at::Tensor low, at::Tensor high, Validate validate = Validate::kYes)
      : Univariate({std::move(low), std::move(high)}, validate) {}
  [[nodiscard]] const at::Tensor& low() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& high() const { return parameter(1); }
};

}  // namespace elbo
