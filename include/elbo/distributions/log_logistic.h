#pragma once

#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct LogLogistic {
  static constexpr const char* kName = "LogLogistic";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"scale", Range::kPositive}, {"shape", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kPositive;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& scale, const T& shape) {
    const T size = abs(log_odds(x, scale, shape));
    return select((x <= 0.0) | (x == INFINITY), -INFINITY,
                  log(shape / square(1.0 + exp(-size))) - log(x) - size);
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& scale, const T& shape) {
    return select(x <= 0.0, 0.0, sigmoid(log_odds(x, scale, shape)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& scale, const T& shape) {
    return select(x <= 0.0, -INFINITY, -math::softplus(-log_odds(x, scale, shape)));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& scale, const T& shape) {
    return select(x <= 0.0, 0.0, -math::softplus(log_odds(x, scale, shape)));
  }
  template <class T>
  ELBO_INLINE static T icdf(const T& u, const T& scale, const T& shape) {
    return scale * exp(log(u / (1.0 - u)) / shape);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& scale, const T& shape) {
    return icdf(u, scale, shape);
  }
  template <class T>
  ELBO_INLINE static T implicit(const T& z, const T& scale, const T& shape) {
    return with_log_slope(z, log(scale) + constant(log_odds(z, scale, shape)) / shape);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& scale, const T& shape) {
    return log(scale) - log(shape) + 2.0;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& scale, const T& shape) {
    const T b = std::numbers::pi / shape;
    return select(shape > 1.0, scale * b / sin(b), 0.0 * scale + INFINITY);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& scale, const T& shape) {
    const T b = std::numbers::pi / shape;
    const T w =
        square(b);  // of the difference of E[x^2] and E[x]^2, which cancels where b is small
    const T series = w * (1.0 / 3 + w * (11.0 / 45 + w * (38.0 / 315 + w * (247.0 / 4725))));
    const T plain = 2.0 * b / sin(2.0 * b) - square(b / sin(b));
    return select(shape > 2.0, square(scale) * select(b < 0.05, series, plain),
                  0.0 * scale + INFINITY);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& scale, const T& shape) {
    const T k = select(shape > 1.0, shape, 2.0);
    return select(shape > 1.0, scale * exp(log((k - 1.0) / (k + 1.0)) / k), 0.0 * scale);
  }

 private:
  /// log F(x) - log(1 - F(x))
  template <class T>
  ELBO_INLINE static T log_odds(const T& x, const T& scale, const T& shape) {
    return shape * (log(x) - log(scale));
  }
};
}  // namespace laws

/// The log-logistic law, of e^y where y is logistic (SciPy's fisk); by inverse CDF (AEVB 2.4,
/// approach 1). Moments from shape on are infinite.
/// **Equation** F(x) = 1 / (1 + (x / scale)^-shape), x > 0
/// **Ranges** scale > 0, shape > 0; DomainError otherwise.
class LogLogistic final : public Univariate<LogLogistic, laws::LogLogistic> {
 public:
  LogLogistic(at::Tensor scale, at::Tensor shape, Validate validate = Validate::kYes)
      : Univariate({std::move(scale), std::move(shape)}, validate) {}
  [[nodiscard]] const at::Tensor& scale() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& shape() const { return parameter(1); }
};

}  // namespace elbo
