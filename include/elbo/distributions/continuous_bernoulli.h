#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
/// In the logit h = log(probs / (1 - probs)) the density is e^(h (x - 1/2)) / S(h / 2) with
/// S(y) = sinh(y) / y, which has no singularity at probs = 1/2.
struct ContinuousBernoulli {
  static constexpr const char* kName = "ContinuousBernoulli";
  static constexpr std::array<Parameter, 1> kParameters = {{{"probs", Range::kOpenUnit}}};
  static constexpr auto kSupport = Constraint::Kind::kUnitInterval;

  template <class T>
  ELBO_INLINE static T logit(const T& probs) {
    return select(probs < 0.25, log(probs) - log1p(-probs),
                  log1p((2.0 * probs - 1.0) / (1.0 - probs)));
  }
  /// log S(y): its Taylor series where the closed form cancels.
  template <class T>
  ELBO_INLINE static T log_sinhc(const T& y) {
    const T w = square(y);
    const T series =
        w * (1.0 / 6 -
             w * (1.0 / 180 -
                  w * (1.0 / 2835 -
                       w * (1.0 / 37800 -
                            w * (1.0 / 467775 -
                                 w * (691.0 / 3831077250.0 -
                                      w * (2.0 / 127702575 - w * (3617.0 / 2605132530000.0))))))));
    const T far = select(w < 0.0625, 1.0, abs(y));
    return select(w < 0.0625, series, far + log1mexp(-2.0 * far) - log(2.0 * far));
  }
  /// coth(y) - 1 / y, the derivative of log S
  template <class T>
  ELBO_INLINE static T slope(const T& y) {
    const T w = square(y);
    const T series =
        y * (1.0 / 3 -
             w * (1.0 / 45 -
                  w * (2.0 / 945 -
                       w * (1.0 / 4725 -
                            w * (2.0 / 93555 -
                                 w * (1382.0 / 638512875 -
                                      w * (4.0 / 18243225 - w * (3617.0 / 162820783125.0))))))));
    const T far = select(w < 0.0625, 1.0, y);
    return select(w < 0.0625, series, 1.0 / tanh(far) - 1.0 / far);
  }
  /// 1 / y^2 - 1 / sinh(y)^2, the second derivative of log S
  template <class T>
  ELBO_INLINE static T curvature(const T& y) {
    const T w = square(y);
    const T series =
        1.0 / 3 -
        w * (1.0 / 15 -
             w * (2.0 / 189 -
                  w * (1.0 / 675 - w * (2.0 / 10395 - w * (1382.0 / 58046625 -
                                                           w * (4.0 / 1403325 -
                                                                w * (3617.0 / 10854718875.0)))))));
    const T far = select(w < 0.0625, 1.0, abs(y));
    const T sinh2 = -0.5 * expm1(-2.0 * far);  // e^-y sinh(y)
    return select(w < 0.0625, series, 1.0 / square(far) - exp(-2.0 * far) / square(sinh2));
  }

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& probs) {
    const T h = logit(probs);
    return select((x < 0.0) | (x > 1.0), -INFINITY, h * (x - 0.5) - log_sinhc(0.5 * h));
  }
  /// log F at x, `rest` away from 1.
  template <class T>
  ELBO_INLINE static T log_below(const T& x, const T& rest, const T& h) {
    return log(x) - 0.5 * h * rest + log_sinhc(0.5 * h * x) - log_sinhc(0.5 * h);
  }
  /// The same, by that of 1 - x in the law of 1 - probs where it is near 0.
  template <class T>
  ELBO_INLINE static T log_part(const T& x, const T& rest, const T& h) {
    const T below = log_below(x, rest, h);
    const T part = select(below < -std::numbers::ln2, below, log1mexp(log_below(rest, x, -h)));
    return select(x <= 0.0, -INFINITY, select(rest <= 0.0, 0.0, part));
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& probs) {
    const T h = logit(probs), rest = 1.0 - x;
    const T below = log_below(x, rest, h);
    const T part = select(below < -std::numbers::ln2, exp(below), -expm1(log_below(rest, x, -h)));
    return select(x <= 0.0, 0.0, select(rest <= 0.0, 1.0, part));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& probs) {
    return log_part(x, 1.0 - x, logit(probs));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& probs) {
    return log_part(1.0 - x, x, -logit(probs));
  }
  /// The quantile in the form that is exact near 0, h the log odds of probs.
  template <class T>
  ELBO_INLINE static T from_zero(const T& u, const T& h) {
    const T v = u * (1.0 - u);
    // The cumulants of Bernoulli(u), where log(1 + u (e^h - 1)) / h cancels.
    const T series =
        u + v * h *
                (1.0 / 2 + h * (1.0 - 2.0 * u) * (1.0 / 6 + square(h) * (1.0 - 12.0 * v) / 120.0) +
                 square(h) * ((1.0 - 6.0 * v) / 24.0 +
                              square(h) * (1.0 - 30.0 * v + 120.0 * square(v)) / 720.0));
    const T far = select(abs(h) < 0.02, 1.0, h);
    return select(abs(h) < 0.02, series, log1p(u * expm1(far)) / far);
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& probs) {
    const T h = logit(probs);
    const auto from_one = (u > 0.5) & (h < -0.02);
    const T far = select(from_one, h, -1.0);
    return select(from_one, 1.0 + log1p((1.0 - u) * expm1(-far)) / far, from_zero(u, h));
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& probs) {
    // From the likelier end, since 1 - u is as uniform as u.
    const T h = logit(probs);
    const T y = from_zero(u, -abs(h));
    return select(h < 0.0, y, 1.0 - y);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& probs) {
    const T y = 0.5 * logit(probs);
    return log_sinhc(y) - y * slope(y);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& probs) {
    return 0.5 + 0.5 * slope(0.5 * logit(probs));
  }
  template <class T>
  ELBO_INLINE static T variance(const T& probs) {
    return 0.25 * curvature(0.5 * logit(probs));
  }
  /// NaN where the law is uniform.
  template <class T>
  ELBO_INLINE static T mode(const T& probs) {
    return select(probs < 0.5, 0.0 * probs, select(probs > 0.5, 0.0 * probs + 1.0, NAN));
  }
};
}  // namespace laws

/// The continuous Bernoulli law (Loaiza-Ganem and Cunningham, 2019), of pixels between 0 and 1; by
/// inverse CDF.
/// **Equation** p(x) = C probs^x (1 - probs)^(1 - x), 0 <= x <= 1,
/// C = 2 atanh(1 - 2 probs) / (1 - 2 probs), and 2 at 1/2
/// **Ranges** probs in (0, 1); DomainError otherwise.
class ContinuousBernoulli final
    : public Univariate<ContinuousBernoulli, laws::ContinuousBernoulli> {
 public:
  explicit ContinuousBernoulli(at::Tensor probs, Validate validate = Validate::kYes)
      : Univariate({std::move(probs)}, validate) {}
  [[nodiscard]] const at::Tensor& probs() const { return parameter(0); }
};

}  // namespace elbo
