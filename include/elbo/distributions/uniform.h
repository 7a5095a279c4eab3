#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Uniform {
  static constexpr const char* kName = "Uniform";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"low", Range::kReal}, {"high", Range::kReal}}};
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
    return select((x < low) | (x > high), -INFINITY, -log(high - low));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& low, const T& high) {
    return select(x <= low, 0.0, select(x >= high, 1.0, (x - low) / (high - low)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& low, const T& high) {
    return select(x <= low, -INFINITY,
                  select(x >= high, 0.0, log_share(x - low, high - x, high - low)));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& low, const T& high) {
    return select(x <= low, 0.0,
                  select(x >= high, -INFINITY, log_share(high - x, x - low, high - low)));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& low, const T& high) {
    return low + u * (high - low);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& low, const T& high) {
    return minimum(icdf(u, low, high), high);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& low, const T& high) {
    const T u = constant((z - low) / (high - low));
    return (1.0 - u) * low + u * high;
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& low, const T& high) {
    return log(high - low);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& low, const T& high) {
    return 0.5 * (low + high);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& low, const T& high) {
    return square(high - low) / 12.0;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& low, const T& high) {
    return low;
  }

 private:
  /// log(part / whole), by the shorter of the two parts.
  template <class T>
  ELBO_INLINE static T log_share(const T& part, const T& rest, const T& whole) {
    return select(part < rest, log(part / whole), log1p(-rest / whole));
  }
};
}  // namespace laws

/// The uniform law on [low, high]; every point of it is a mode, and `mode` gives low.
/// **Equation** p(x) = 1 / (high - low), low <= x <= high
/// **Ranges** low < high; DomainError otherwise.
class Uniform final : public Univariate<Uniform, laws::Uniform> {
 public:
  Uniform(at::Tensor low, at::Tensor high, Validate validate = Validate::kYes)
      : Univariate({std::move(low), std::move(high)}, validate) {}
  [[nodiscard]] const at::Tensor& low() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& high() const { return parameter(1); }
};

}  // namespace elbo
