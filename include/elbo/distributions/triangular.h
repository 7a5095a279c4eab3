#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct Triangular {
  static constexpr const char* kName = "Triangular";
  static constexpr std::array<Parameter, 3> kParameters = {
      {{"low", Range::kReal}, {"mode", Range::kReal}, {"high", Range::kReal}}};
  static constexpr auto kSupport = Constraint::Kind::kInterval;
  static constexpr const char* kRequirement = "low <= mode <= high, low < high";

  template <class T>
  static auto valid(const T& low, const T& mode, const T& high) {
    return (low <= mode) & (mode <= high) & (low < high);
  }
  template <class T>
  ELBO_INLINE static T lower(const T& low, const T& mode, const T& high) {
    return low;
  }
  template <class T>
  ELBO_INLINE static T upper(const T& low, const T& mode, const T& high) {
    return high;
  }
  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& low, const T& mode, const T& high) {
    const T ramp =
        select(x == mode, 1.0,
               select(x < mode, (x - low) / side(low, mode), (high - x) / side(mode, high)));
    return select((x < low) | (x > high), -INFINITY, log(2.0 / (high - low)) + log(ramp));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& low, const T& mode, const T& high) {
    const T rise = square(x - low) / side(low, mode);
    const T fall = (high - x) / side(mode, high);
    // above the mode 1 - (high - x) fall / (high - low), without its cancellation
    return select(
        x <= low, 0.0,
        select(x >= high, 1.0,
               select(x < mode, rise, mode - low + (x - mode) * (1.0 + fall)) / (high - low)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& low, const T& mode, const T& high) {
    const T below = cdf(x, low, mode, high);
    const T above = cdf(-x, -high, -mode, -low);
    return select(below > 0.5, log1p(-select(below > 0.5, above, 0.5)), log(below));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& low, const T& mode, const T& high) {
    return log_cdf(-x, -high, -mode, -low);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& low, const T& mode, const T& high) {
    return select(u <= 0.5, lower_half(select(u <= 0.5, u, 0.5), low, mode, high),
                  -lower_half(select(u <= 0.5, 0.5, 1.0 - u), -high, -mode, -low));
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& low, const T& mode, const T& high) {
    return icdf(u, low, mode, high);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& low, const T& mode, const T& high) {
    return 0.5 + log(0.5 * (high - low));
  }
  template <class T>
  ELBO_INLINE static T mean(const T& low, const T& mode, const T& high) {
    return (low + mode + high) / 3.0;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& low, const T& mode, const T& high) {
    return (square(mode - low) + (mode - low) * (high - mode) + square(high - mode)) / 18.0;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& low, const T& mode, const T& high) {
    return mode;
  }

 private:
  /// b - a, or 1 where that is 0 and divides nothing that counts
  template <class T>
  ELBO_INLINE static T side(const T& a, const T& b) {
    return select(a < b, b - a, 1.0);
  }
  /// The quantile of u <= 1/2: on the rising side, or that far above the mode.
  template <class T>
  ELBO_INLINE static T lower_half(const T& u, const T& low, const T& mode, const T& high) {
    const T area = u * (high - low);
    return select(
        area < mode - low, low + sqrt(area * side(low, mode)),
        mode + (area - (mode - low)) / (1.0 + sqrt((1.0 - u) * (high - low) / side(mode, high))));
  }
};
}  // namespace laws

/// The triangular law; of location and scale (AEVB 2.4, approach 2), its noise by inverse CDF.
/// `mode()` is the parameter, of the batch's shape.
/// **Equation** p(x) = 2 (x - low) / ((high - low) (mode - low)) up to the mode, then
/// 2 (high - x) / ((high - low) (high - mode)), low <= x <= high
/// **Ranges** low <= mode <= high, low < high; DomainError otherwise.
class Triangular final : public Univariate<Triangular, laws::Triangular> {
 public:
  Triangular(at::Tensor low, at::Tensor mode, at::Tensor high, Validate validate = Validate::kYes)
      : Univariate({std::move(low), std::move(mode), std::move(high)}, validate) {}
  [[nodiscard]] const at::Tensor& low() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& high() const { return parameter(2); }
};

}  // namespace elbo
