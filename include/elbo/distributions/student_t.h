#pragma once

#include "elbo/distributions/gamma.h"

namespace elbo {

namespace laws {
namespace detail_student_t {

/// One half of I_z(df/2, 1/2), the probability beyond t >= 0, its logarithm and the derivatives of
/// the latter.
struct Tail {
  double probability, log_probability, along_df, along_t;
};

/// d log I_z(a, 1/2) / da where I underflows: by I = z^a sqrt(1 - z) / (a B) sum_n (a + 1/2)_n /
/// (a + 1)_n z^n.
inline double log_part_da(double a, double z) {
  double sum = 0, slope = 0, term = 1, along = 0;
  for (int n = 0; n < 1000000 && term > 1e-18 * sum; ++n) {
    sum += term;
    slope += term * along;
    term *= (a + 0.5 + n) / (a + 1 + n) * z;
    along += 0.5 / ((a + 0.5 + n) * (a + 1 + n));
  }
  return std::log(z) - 1 / a + digamma(a + 0.5) - digamma(a) + slope / sum;
}

inline Tail tail(double df, double t, bool slopes) {
  const double a = 0.5 * df;
  // y = t^2 / (df + t^2) and z = 1 - y; the smaller one has all its digits.
  const double odds = t / df * t;
  const bool near = odds < 1;
  const double y = odds / (1 + odds), z = 1 / (1 + odds);
  Tail out{};
  out.log_probability = (near ? log_beta_ic(0.5, a, y) : log_beta_i(a, 0.5, z)) - std::numbers::ln2;
  const double inside = near ? beta_i(0.5, a, y) : 1;
  out.probability =
      inside < 0.5 ? 0.5 - 0.5 * inside : 0.5 * (near ? beta_ic(0.5, a, y) : beta_i(a, 0.5, z));
  if (!slopes) return out;
  const double log_density = -lbeta(a, 0.5) - 0.5 * std::log(df) - (a + 0.5) * std::log1p(odds);
  double da = 0, db = 0;
  if (near)
    beta_i_gradient(0.5, a, y, &db, &da);
  else
    beta_i_gradient(a, 0.5, z, &da, &db);
  const double hazard = std::exp(log_density - out.log_probability);
  out.along_t = -hazard;
  // z moves with df as -t / (2 df) times its move with t.
  const double log_da =
      out.probability > 1e-290 ? 0.5 * (near ? -da : da) / out.probability : log_part_da(a, z);
  out.along_df = 0.5 * log_da + hazard * t / (2 * df);
  return out;
}

/// log F at t, and that of -t is log(1 - F).
inline double log_cdf(double t, double df) {
  const Tail beyond = tail(df, std::abs(t), false);
  return t < 0 ? beyond.log_probability : std::log1p(-beyond.probability);
}
template <int N>
Dual<N> log_cdf(const Dual<N>& t, const Dual<N>& df) {
  const Tail beyond = tail(df.value, std::abs(t.value), true);
  if (t < 0.0) return chain(t, df, beyond.log_probability, -beyond.along_t, beyond.along_df);
  const double odds = -beyond.probability / (1 - beyond.probability);
  return chain(t, df, std::log1p(-beyond.probability), odds * beyond.along_t,
               odds * beyond.along_df);
}
inline double cdf(double t, double df) {
  const double beyond = tail(df, std::abs(t), false).probability;
  return t < 0 ? beyond : 1 - beyond;
}
template <int N>
Dual<N> cdf(const Dual<N>& t, const Dual<N>& df) {
  const Tail beyond = tail(df.value, std::abs(t.value), true);
  const double p = beyond.probability;
  if (t < 0.0) return chain(t, df, p, -p * beyond.along_t, p * beyond.along_df);
  return chain(t, df, 1 - p, -p * beyond.along_t, -p * beyond.along_df);
}

/// t >= 0 beyond which probability u <= 1/2 lies.
inline double quantile(double u, double df) {
  const double a = 0.5 * df;
  const double y = beta_i_inverse(0.5, a, 1 - 2 * u);
  const double z = y < 0.5 ? 1 - y : beta_i_inverse(a, 0.5, 2 * u);
  if (z < 1e-290) {  // I_z = z^a / (a B(a, 1/2)) to all digits
    const double log_z = (std::log(2 * u) + std::log(a) + lbeta(a, 0.5)) / a;
    return std::exp(0.5 * (std::log(df) - log_z));
  }
  double t = std::sqrt(df * (y < 0.5 ? y : 1 - z) / z);
  if (u > 0.25) return t;
  for (int i = 0; i < 4; ++i) {  // the inverses lose half their digits where df is large: Newton
    const Tail beyond = tail(df, t, true);
    const double step = (std::log(u) - beyond.log_probability) / beyond.along_t;
    t += step;
    if (!(std::abs(step) > 1e-12 * t)) break;
  }
  return t;
}
inline double icdf(double u, double df) {
  return u <= 0.5 ? -quantile(u, df) : quantile(1 - u, df);
}
template <int N>
Dual<N> icdf(const Dual<N>& u, const Dual<N>& df) {
  const double t = icdf(u.value, df.value);
  const Tail beyond = tail(df.value, std::abs(t), true);
  const double density = -beyond.probability * beyond.along_t;
  return chain(u, df, t, 1 / density,
               (t < 0 ? -beyond.probability : beyond.probability) * beyond.along_df / density);
}

// Not in ATen: these throw, saying so.
inline at::Tensor log_cdf(const at::Tensor& t, const at::Tensor& df) {
  return log_beta_i(df, df, t);
}
inline at::Tensor cdf(const at::Tensor& t, const at::Tensor& df) { return beta_i(df, df, t); }
inline at::Tensor icdf(const at::Tensor& u, const at::Tensor& df) {
  return beta_i_inverse(df, df, u);
}

}  // namespace detail_student_t

struct StudentT {
  static constexpr const char* kName = "StudentT";
  static constexpr std::array<Parameter, 3> kParameters = {
      {{"df", Range::kPositive}, {"loc", Range::kReal}, {"scale", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kReal;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& df, const T& loc, const T& scale) {
    const T t = (x - loc) / scale;
    const T half = 0.5 * df;
    return -lbeta(half, half * 0.0 + 0.5) - 0.5 * log(df) - log(scale) -
           (half + 0.5) * log1p(t / df * t);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T cdf(const T& x, const T& df, const T& loc, const T& scale) {
    return detail_student_t::cdf((x - loc) / scale, df);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T log_cdf(const T& x, const T& df, const T& loc, const T& scale) {
    return detail_student_t::log_cdf((x - loc) / scale, df);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T log_survival(const T& x, const T& df, const T& loc, const T& scale) {
    return detail_student_t::log_cdf((loc - x) / scale, df);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T icdf(const T& u, const T& df, const T& loc, const T& scale) {
    return loc + scale * detail_student_t::icdf(u, df);
  }
  template <class V>
  ELBO_INLINE static V sample(Noise::Stream<V>& stream, const V* p) {
    const V normal = stream.normal();
    const V half = 0.5 * p[0];
    auto other = stream.split(2);
    return p[1] + p[2] * normal * exp(0.5 * (log(half) - Gamma::log_standard(other, half)));
  }
  /// df / (df + t^2) is a draw of the beta law with df/2 and 1/2.
  template <class T>
  requires(!std::is_same_v<T, at::Tensor>) ELBO_INLINE static T
      implicit(const T& z, const T& df, const T& loc, const T& scale) {
    const auto t = (z.value - loc.value) / scale.value;
    const auto odds = maximum(t / df.value * t, 1e-300);
    const T log_odds =
        beta_draw_log_odds(0.5 * df, T(0.5), 1.0 / (1.0 + odds), odds / (1.0 + odds));
    return loc + scale * select(t < 0.0, -1.0, 1.0) * sqrt(df) * exp(-0.5 * log_odds);
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& df, const T& loc, const T& scale) {
    const T half = 0.5 * df;
    // digamma(half + 1/2) - digamma(half), which cancels for large df
    const T w = 1.0 / half;
    const T series = w * (0.5 + w * (0.125 - square(w) * (1.0 / 64 - square(w) * (1.0 / 128))));
    const T difference = select(df > 400.0, series, digamma(half + 0.5) - digamma(half));
    return (half + 0.5) * difference + 0.5 * log(df) + lbeta(half, half * 0.0 + 0.5) + log(scale) +
           0.0 * loc;
  }
  template <class T>
  ELBO_INLINE static T mean(const T& df, const T& loc, const T& scale) {
    return select(df > 1.0, loc + 0.0 * scale, NAN);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& df, const T& loc, const T& scale) {
    return select(df > 2.0, square(scale) * (df / (df - 2.0)) + 0.0 * loc,
                  select(df > 1.0, 0.0 * df + INFINITY, NAN));
  }
  template <class T>
  ELBO_INLINE static T mode(const T& df, const T& loc, const T& scale) {
    return loc + 0.0 * df + 0.0 * scale;
  }
};
}  // namespace laws

/// Student's t: loc + scale n / sqrt(c / df) of a standard normal n and a chi-squared c; drawn so
/// (in AEVB 2.4 a location-scale family), reparameterised implicitly.
/// **Equation** p(x) = (1 + t^2 / df)^(-(df + 1)/2) / (scale sqrt(df) B(df/2, 1/2)),
/// t = (x - loc) / scale
/// **Ranges** df > 0, loc finite, scale > 0; DomainError otherwise.
class StudentT final : public Univariate<StudentT, laws::StudentT> {
 public:
  StudentT(at::Tensor df, at::Tensor loc, at::Tensor scale, Validate validate = Validate::kYes)
      : Univariate({std::move(df), std::move(loc), std::move(scale)}, validate) {}
  [[nodiscard]] const at::Tensor& df() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& loc() const { return parameter(1); }
  [[nodiscard]] const at::Tensor& scale() const { return parameter(2); }
};

}  // namespace elbo
