#pragma once

#include <algorithm>

#include "elbo/distributions/poisson.h"
#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct DiscretizedLogistic {
  static constexpr const char* kName = "DiscretizedLogistic";
  static constexpr std::array<Parameter, 3> kParameters = {
      {{"loc", Range::kReal}, {"scale", Range::kPositive}, {"levels", Range::kPositiveCount}}};
  static constexpr auto kSupport = Constraint::Kind::kIntegerInterval;
  template <class T>
  ELBO_INLINE static T lower(const T&, const T&, const T& levels) {
    return 0.0 * levels;
  }
  template <class T>
  ELBO_INLINE static T upper(const T&, const T&, const T& levels) {
    return levels - 1.0;
  }

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& loc, const T& scale, const T& levels) {
    const T a = (x - 0.5 - loc) / scale, b = (x + 0.5 - loc) / scale;
    const auto first = x <= 0.0, last = x >= levels - 1.0;
    // sigma(b) - sigma(a) = sigma(b) sigma(-a) (1 - e^(a - b)), of whose factors the ends lack one
    // and the last; log sigma(t) = min(t, 0) - log(1 + e^-|t|)
    const T below = select(last, 0.0, exp(-abs(b))), above = select(first, 0.0, exp(-abs(a)));
    const T within = select(first | last, 1.0, -expm1(-1.0 / scale));
    const T linear = select(last | (b > 0.0), 0.0, b) - select(first | (a < 0.0), 0.0, a);
    return select(detail_poisson::outside(x) | (x > levels - 1.0), -INFINITY,
                  log(within / ((1.0 + below) * (1.0 + above))) + linear);
  }
  template <class T>
  ELBO_INLINE static T cdf(const T& x, const T& loc, const T& scale, const T& levels) {
    return select(x < 0.0, 0.0,
                  select(x >= levels - 1.0, 1.0, sigmoid((floor(x) + 0.5 - loc) / scale)));
  }
  template <class T>
  ELBO_INLINE static T log_cdf(const T& x, const T& loc, const T& scale, const T& levels) {
    return select(x < 0.0, -INFINITY,
                  select(x >= levels - 1.0, 0.0, -math::softplus((loc - 0.5 - floor(x)) / scale)));
  }
  template <class T>
  ELBO_INLINE static T log_survival(const T& x, const T& loc, const T& scale, const T& levels) {
    return select(
        x < 0.0, 0.0,
        select(x >= levels - 1.0, -INFINITY, -math::softplus((floor(x) + 0.5 - loc) / scale)));
  }
  template <math::Scalar T>
  ELBO_INLINE static T icdf(const T& u, const T& loc, const T& scale, const T& levels) {
    const double m = detail_poisson::value_of(loc), s = detail_poisson::value_of(scale);
    const double n = detail_poisson::value_of(levels), v = detail_poisson::value_of(u);
    return detail_poisson::smallest<DiscretizedLogistic>(
        v, std::ceil(m - 0.5 + s * (std::log(v) - std::log1p(-v))), n - 1, m, s, n);
  }
  template <class T>
  ELBO_INLINE static T draw(const T& u, const T& loc, const T& scale, const T& levels) {
    const T k = floor(loc + scale * log(u / (1.0 - u)) + 0.5);
    return select(k < 0.0, 0.0, select(k > levels - 1.0, levels - 1.0, k));
  }
  template <math::Scalar T>
  ELBO_INLINE static T entropy(const T& loc, const T& scale, const T& levels) {
    T sum = 0.0;
    for_each_bin(loc, scale, levels, [&](double, const T& log_mass) {
      if (log_mass > -700.0) sum = sum - exp(log_mass) * log_mass;
    });
    return sum;
  }
  template <math::Scalar T>
  ELBO_INLINE static T mean(const T& loc, const T& scale, const T& levels) {
    T sum = 0.0;
    for_each_bin(loc, scale, levels,
                 [&](double k, const T& log_mass) { sum = sum + k * exp(log_mass); });
    return sum;
  }
  template <math::Scalar T>
  ELBO_INLINE static T variance(const T& loc, const T& scale, const T& levels) {
    const T centre = mean(loc, scale, levels);
    T sum = 0.0;
    for_each_bin(loc, scale, levels, [&](double k, const T& log_mass) {
      sum = sum + square(k - centre) * exp(log_mass);
    });
    return sum;
  }
  /// The bin around loc, or an end whose tail outweighs it; of equals, the least.
  template <class T>
  ELBO_INLINE static T mode(const T& loc, const T& scale, const T& levels) {
    const T last = levels - 1.0, first = 0.0 * levels;
    const T near = -floor(0.5 - loc);
    const T middle = select(near < 0.0, 0.0, select(near > last, last, near));
    const T mass = log_prob(middle, loc, scale, levels);
    const T of_first = log_prob(first, loc, scale, levels);
    const T best = select(of_first >= mass, first, middle);
    return select(log_prob(last, loc, scale, levels) > maximum(of_first, mass), last, best);
  }

 private:
  /// Calls f(k, log of the mass of k) for both ends and every bin with mass above 1e-21.
  template <class T, class F>
  static void for_each_bin(const T& loc, const T& scale, const T& levels, const F& f) {
    const double m = detail_poisson::value_of(loc), reach = 50 * detail_poisson::value_of(scale);
    const double last = detail_poisson::value_of(levels) - 1;
    const auto see = [&](double k) {
      const T at = k;
      f(k, log_prob(at, loc, scale, levels));
    };
    see(0);
    const double stop = std::min(last - 1, std::ceil(m + reach));
    for (double k = std::max(1.0, std::floor(m - reach)); k <= stop; ++k) see(k);
    if (last > 0) see(last);
  }
};
}  // namespace laws

/// The mass of a logistic law in bins of width 1 around the whole numbers 0 … levels - 1, of which
/// the end bins take the tails: for images of 8 bits levels = 256 (Kingma et al. 2016; Salimans et
/// al. 2017, PixelCNN++). `loc` and `scale` are in units of bins. Entropy, mean and variance are
/// sums over the bins.
/// **Equation** p(k) = sigma((k + 1/2 - loc) / scale) - sigma((k - 1/2 - loc) / scale), where the
///   first term is 1 at k = levels - 1 and the second 0 at k = 0.
/// **Ranges** loc finite, scale > 0, levels a whole number >= 1; DomainError otherwise.
class DiscretizedLogistic final
    : public Univariate<DiscretizedLogistic, laws::DiscretizedLogistic> {
 public:
  DiscretizedLogistic(at::Tensor loc, at::Tensor scale, at::Tensor levels,
                      Validate validate = Validate::kYes)
      : Univariate({std::move(loc), std::move(scale), std::move(levels)}, validate) {}
  [[nodiscard]] const at::Tensor& loc() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& scale() const { return parameter(1); }
  [[nodiscard]] const at::Tensor& levels() const { return parameter(2); }
};

}  // namespace elbo
