#pragma once

#include <algorithm>

#include "elbo/distributions/univariate.h"
#include "elbo/error.h"

namespace elbo {

namespace laws {
namespace detail_von_mises {

inline constexpr double kPi = std::numbers::pi;

/// log of e^-k I0(k)
inline double log_i0_scaled(double k) {
  if (k < 500) return log_i0(k) - k;
  const double t = 1 / (8 * k);
  return -0.5 * std::log(2 * kPi * k) +
         std::log1p(t * (1 + t * (4.5 + t * (37.5 + t * (459.375 + t * 7441.875)))));
}
/// 1 - I1(k) / I0(k), the mean of 1 - cos
inline double spread(double k) {
  if (k < 500) return 1 - i1_over_i0(k);
  const double t = 1 / k;
  return t *
         (1.0 / 2 +
          t * (1.0 / 8 + t * (1.0 / 8 + t * (25.0 / 128 + t * (13.0 / 32 + t * 1073.0 / 1024)))));
}
template <int L>
inline PackOf<L> log_i0_scaled(const PackOf<L>& k) {
  return lanewise([](double t) { return log_i0_scaled(t); }, k);
}
template <int L>
inline PackOf<L> spread(const PackOf<L>& k) {
  return lanewise([](double t) { return spread(t); }, k);
}
template <int N, class S>
Dual<N, S> log_i0_scaled(const Dual<N, S>& k) {
  return chain(k, log_i0_scaled(k.value), -spread(k.value));
}
template <int N, class S>
Dual<N, S> spread(const Dual<N, S>& k) {
  const S s = spread(k.value);
  const S r = 1.0 - s;
  return chain(k, s, select(k.value < 1e-8, S(-0.5), r / k.value - s * (1.0 + r)));
}
template <class T>
requires std::is_same_v<T, at::Tensor> T log_i0_scaled(const T& k) { return log_i0(k) - k; }
template <class T>
requires std::is_same_v<T, at::Tensor> T spread(const T& k) { return 1.0 - i1_over_i0(k); }

/// The rule of Gauss and Legendre on (-1, 1), its nodes by Newton's method.
struct Rule {
  static constexpr int kNodes = 32;
  std::array<double, kNodes> node{}, weight{};
  Rule() {
    for (int i = 0; i < kNodes; ++i) {
      double x = std::cos(kPi * (i + 0.75) / (kNodes + 0.5)), slope = 1;
      for (int step = 0; step < 8; ++step) {
        double p = x, before = 1;
        for (int n = 2; n <= kNodes; ++n) {
          const double next = ((2 * n - 1) * x * p - (n - 1) * before) / n;
          before = p;
          p = next;
        }
        slope = kNodes * (x * p - before) / (x * x - 1);
        x -= p / slope;
      }
      node[static_cast<size_t>(i)] = x;
      weight[static_cast<size_t>(i)] = 2 / ((1 - x * x) * slope * slope);
    }
  }
};

/// Of the probability beyond an angle in [0, pi], on one side: its logarithm and the slopes of
/// that.
struct Tail {
  double log_probability, along_angle, along_k;
};

/// By quadrature, relative to the density at the angle, of whichever side of the angle the
/// derivative along k keeps its sign on: nothing cancels, however far out.
inline Tail tail(double k, double angle) {
  static const Rule rule;
  constexpr double kNats = 40;  // the density beyond is cut off where it has fallen by so much
  const double dispersion = spread(k);
  const double sine = std::sin(0.5 * angle);
  const bool inner = 2 * sine * sine < dispersion;
  const double reach = sine * sine + 0.5 * kNats / k;
  const double from = inner ? 0 : angle;
  const double to = inner ? angle : reach < 1 ? 2 * std::asin(std::sqrt(reach)) : kPi;
  double mass = 0, slope = 0;
  for (size_t i = 0; i < Rule::kNodes; ++i) {
    const double s = 0.5 * (to - from) * (1 + rule.node[i]);  // the way from `from`
    const double t = from + s;
    const double half = std::sin(0.5 * t);
    const double w = 0.5 * (to - from) * rule.weight[i] *
                     std::exp(-2 * k * std::sin(0.5 * (t + from)) * std::sin(0.5 * s));
    mass += w;
    slope += w * (dispersion - 2 * half * half);
  }
  const double log_peak = -std::log(2 * kPi) - log_i0_scaled(k);
  const double log_density = log_peak - 2 * k * sine * sine;
  Tail out{};
  if (inner) {
    const double peak = std::exp(log_peak), probability = 0.5 - peak * mass;
    out = {std::log(probability), 0, -peak * slope / probability};
  } else {
    out = {log_density + std::log(mass), 0, slope / mass};
  }
  out.along_angle = -std::exp(log_density - out.log_probability);
  return out;
}

/// The angle's equal in [-pi, pi].
inline double wrapped(double angle) { return std::remainder(angle, 2 * kPi); }
template <int L>
ELBO_INLINE PackOf<L> wrapped(const PackOf<L>& angle) {
  return angle - 2 * kPi * floor(angle * (0.5 / kPi) + 0.5);
}

/// The slope along k of a draw `angle` in [-pi, pi], -(dF/dk) / p, by the Fourier series
/// F = 1/2 + angle / (2 pi) + sum_j I_j(k) / (I_0(k) pi j) sin(j angle), its quotients of Bessel
/// functions by their continued fraction from the end. By quadrature where the density is too small
/// for that or the series too long.
template <math::Value V>
ELBO_INLINE V draw_slope(const V& k, const V& angle) {
  const int terms = any(k > 10.0) ? 70 : any(k > 2.0) ? 40 : 20;
  const V twice = 2.0 * cos(angle), step = 2.0 / k;
  V after = sin(static_cast<double>(terms + 2) * angle);
  V sine = sin(static_cast<double>(terms + 1) * angle);
  // ratio = I_j / I_{j-1}; the sums over j of I_j / I_0, of itself, with the sine and the slope
  V ratio = 0.0, plain = 0.0, with_sine = 0.0, with_slope = 0.0;
  for (int j = terms; j >= 1; --j) {
    const V now = twice * sine - after;
    after = sine;
    sine = now;
    const V inverse = static_cast<double>(j) * step + ratio;
    const V slope = 0.5 * (inverse + ratio);  // I_j' / I_j
    ratio = 1.0 / inverse;
    const V term = now * (1.0 / j);
    plain = ratio * (1.0 + plain);
    with_sine = ratio * (term + with_sine);
    with_slope = ratio * (slope * term + with_slope);
  }
  // With the e^-k that the sum of all terms, 1 + 2 plain, is 1 / (e^-k I_0) by.
  const V fall = exp(-2.0 * k * square(sin(0.5 * angle)));
  const V out = -2.0 * (with_slope - ratio * with_sine) / (fall * (1.0 + 2.0 * plain));
  const auto lost = !((fall > 1e-6) & (k < 50.0));
  if (!any(lost)) return out;
  const auto quotient = [](double concentration, double at) {
    const Tail t = tail(concentration, std::abs(at));
    const double slope = t.along_k / t.along_angle;  // of |angle|, negated
    return at < 0 ? slope : -slope;
  };
  if constexpr (std::is_same_v<V, double>)
    return quotient(k, angle);
  else
    return select(lost, lanewise(quotient, k, angle), out);
}

inline double cdf(double angle, double k) {
  const double a = wrapped(angle);
  const double beyond = std::exp(tail(k, std::abs(a)).log_probability);
  return a < 0 ? beyond : 1 - beyond;
}
template <int N>
Dual<N> cdf(const Dual<N>& angle, const Dual<N>& k) {
  const double a = wrapped(angle.value);
  const Tail t = tail(k.value, std::abs(a));
  const double beyond = std::exp(t.log_probability);
  const double density = -beyond * t.along_angle;
  if (a < 0) return chain(angle, k, beyond, density, beyond * t.along_k);
  return chain(angle, k, 1 - beyond, density, -beyond * t.along_k);
}
/// log F at the angle, and that of -angle is log(1 - F).
inline double log_cdf(double angle, double k) {
  const double a = wrapped(angle);
  const double beyond = tail(k, std::abs(a)).log_probability;
  return a < 0 ? beyond : log1mexp(beyond);
}
template <int N>
Dual<N> log_cdf(const Dual<N>& angle, const Dual<N>& k) {
  const double a = wrapped(angle.value);
  const Tail t = tail(k.value, std::abs(a));
  if (a < 0) return chain(angle, k, t.log_probability, -t.along_angle, t.along_k);
  const double odds = 1 / std::expm1(-t.log_probability);
  return chain(angle, k, log1mexp(t.log_probability), -odds * t.along_angle, -odds * t.along_k);
}
/// The angle >= 0 beyond which probability e^log_u <= 1/2 lies, by Newton's method in a bracket.
inline double quantile(double log_u, double k) {
  double low = 0, high = kPi;
  double angle = std::min(2.0, 1 / std::sqrt(k));
  for (int i = 0; i < 200 && high - low > 1e-17; ++i) {
    const Tail t = tail(k, angle);
    const double excess = t.log_probability - log_u;
    (excess > 0 ? low : high) = angle;
    const double next = angle - excess / t.along_angle;
    if (std::abs(next - angle) <= 4e-16 * angle) return next;
    const double middle = 0.5 * (low + high);
    if (middle == low || middle == high) return middle;
    angle = next > low && next < high ? next : middle;
  }
  return angle;
}
inline double icdf(double u, double k) {
  return u < 0.5 ? -quantile(std::log(u), k) : quantile(std::log1p(-u), k);
}
template <int N>
Dual<N> icdf(const Dual<N>& u, const Dual<N>& k) {
  const double angle = icdf(u.value, k.value);
  const Tail t = tail(k.value, std::abs(angle));
  const double density = -std::exp(t.log_probability) * t.along_angle;
  const double along_k = t.along_k / t.along_angle;  // of |angle|, negated
  return chain(u, k, angle, 1 / density, angle < 0 ? along_k : -along_k);
}

[[noreturn]] inline void missing() {
  throw UnsupportedError(
      "VonMises: not in ATen; expected tensors on the CPU and first derivatives only");
}
inline at::Tensor cdf(const at::Tensor&, const at::Tensor&) { missing(); }
inline at::Tensor log_cdf(const at::Tensor&, const at::Tensor&) { missing(); }
inline at::Tensor icdf(const at::Tensor&, const at::Tensor&) { missing(); }

}  // namespace detail_von_mises

struct VonMises {
  static constexpr const char* kName = "VonMises";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"loc", Range::kReal}, {"concentration", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kReal;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& loc, const T& concentration) {
    return -2.0 * concentration * square(sin(0.5 * (x - loc))) - std::log(2 * std::numbers::pi) -
           detail_von_mises::log_i0_scaled(concentration);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T cdf(const T& x, const T& loc, const T& concentration) {
    return detail_von_mises::cdf(x - loc, concentration);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T log_cdf(const T& x, const T& loc, const T& concentration) {
    return detail_von_mises::log_cdf(x - loc, concentration);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T log_survival(const T& x, const T& loc, const T& concentration) {
    return detail_von_mises::log_cdf(loc - x, concentration);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T icdf(const T& u, const T& loc, const T& concentration) {
    return loc + detail_von_mises::icdf(u, concentration);
  }
  /// Best and Fisher (1979), from a wrapped Cauchy law, in forms that do not cancel.
  template <class V>
  ELBO_INLINE static V sample(Noise::Stream<V>& stream, const V* p) {
    constexpr double pi = std::numbers::pi;
    const V k = p[1];
    const V root = select(k > 1e100, 2.0 * k, sqrt(1.0 + square(2.0 * k)));
    const V bottom = 1.0 + root + sqrt(2.0 * (1.0 + root));
    const V rho = 2.0 * k / bottom;
    const V rest = (1.0 + 1.0 / (root + 2.0 * k) + sqrt(2.0 * (1.0 + root))) / bottom;  // 1 - rho
    const V excess = rest * rest / (2.0 * rho);     // their r - 1
    V angle = pi * (2.0 * stream.uniform() - 1.0);  // where the law is uniform
    auto open = k > 1e-17;
    while (any(open)) {
      V half, unused;
      sincos_turns(0.25 * stream.uniform(), &half, &unused);
      const V fall = 2.0 * half * half;  // 1 - z
      const V away =
          minimum(excess * fall / (excess + 2.0 - fall), V(2.0));  // 1 - cos of the angle
      const V c = k * (excess + away);
      const auto taken = log(c / stream.uniform()) + 1.0 - c >= 0.0;
      const V size = 2.0 * atan(sqrt(away / (2.0 - away)));
      angle = select(open & taken, select(stream.uniform() < 0.5, -size, size), angle);
      open = open & !taken;
    }
    const V z = detail_von_mises::wrapped(p[0] + angle);
    return select(z < pi, maximum(z, V(-pi)), -pi);
  }
  template <class T>
  requires(!std::is_same_v<T, at::Tensor>) ELBO_INLINE static T
      implicit(const T& z, const T& loc, const T& concentration) {
    using S = std::remove_cvref_t<decltype(z.value)>;
    const S angle = detail_von_mises::wrapped(z.value - loc.value);
    return chain(loc, concentration, z.value, S(1.0),
                 detail_von_mises::draw_slope(concentration.value, angle));
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& loc, const T& concentration) {
    return std::log(2 * std::numbers::pi) + detail_von_mises::log_i0_scaled(concentration) +
           concentration * detail_von_mises::spread(concentration) + 0.0 * loc;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& loc, const T& concentration) {
    return loc + 0.0 * concentration;
  }
  template <class T>
  ELBO_INLINE static T variance(const T& loc, const T& concentration) {
    return detail_von_mises::spread(concentration) + 0.0 * loc;
  }
  template <class T>
  ELBO_INLINE static T mode(const T& loc, const T& concentration) {
    return loc + 0.0 * concentration;
  }
};
}  // namespace laws

/// The law of von Mises on the circle, normal's likeness; by rejection, reparameterised implicitly.
///
/// Draws lie in [-pi, pi). The density repeats itself every 2 pi, and so does the cdf: it is the
/// probability of the arc from loc - pi. `icdf` lies within pi of loc; `variance` is the circular
/// one, the mean of 1 - cos(x - loc).
/// **Equation** p(x) = e^(concentration cos(x - loc)) / (2 pi I0(concentration))
/// **Units** radians
/// **Ranges** loc finite, concentration > 0; DomainError otherwise.
class VonMises final : public Univariate<VonMises, laws::VonMises> {
 public:
  VonMises(at::Tensor loc, at::Tensor concentration, Validate validate = Validate::kYes)
      : Univariate({std::move(loc), std::move(concentration)}, validate) {}
  [[nodiscard]] const at::Tensor& loc() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& concentration() const { return parameter(1); }
};

}  // namespace elbo
