// Forward-mode differentiation of a scalar formula: a value with N partial derivatives.
#pragma once

#include <array>
#include <type_traits>

#include "elbo/kernels/pack.h"

namespace elbo {

namespace math {
ELBO_INLINE double select(bool condition, double a, double b) { return condition ? a : b; }
}  // namespace math

/// value + sum_i partial[i] * epsilon_i, with epsilon_i * epsilon_j = 0. S is double, or Pack for
/// four at a time.
template <int N, class S = double>
struct Dual {
  S value{};
  std::array<S, N> partial{};

  Dual() = default;
  ELBO_INLINE Dual(const S& v) : value(v) {}  // NOLINT: constants mix freely with duals
  ELBO_INLINE Dual(double v)                  // NOLINT
      requires(!std::is_same_v<S, double>)
      : value(v) {}
  /// The i-th variable of a formula.
  ELBO_INLINE static Dual variable(const S& v, int i) {
    Dual x(v);
    x.partial[static_cast<size_t>(i)] = 1.0;
    return x;
  }

  ELBO_INLINE friend Dual operator-(Dual a) {
    a.value = -a.value;
    for (S& d : a.partial) d = -d;
    return a;
  }
  ELBO_INLINE friend Dual operator+(Dual a, const Dual& b) {
    a.value = a.value + b.value;
    for (size_t i = 0; i < N; ++i) a.partial[i] = a.partial[i] + b.partial[i];
    return a;
  }
  ELBO_INLINE friend Dual operator-(Dual a, const Dual& b) {
    a.value = a.value - b.value;
    for (size_t i = 0; i < N; ++i) a.partial[i] = a.partial[i] - b.partial[i];
    return a;
  }
  ELBO_INLINE friend Dual operator*(const Dual& a, const Dual& b) {
    return chain(a, b, a.value * b.value, b.value, a.value);
  }
  ELBO_INLINE friend Dual operator/(const Dual& a, const Dual& b) {
    const S inverse = 1.0 / b.value;
    const S q = a.value * inverse;
    return chain(a, b, q, inverse, -q * inverse);
  }

  ELBO_INLINE friend auto operator<(const Dual& a, const Dual& b) { return a.value < b.value; }
  ELBO_INLINE friend auto operator>(const Dual& a, const Dual& b) { return a.value > b.value; }
  ELBO_INLINE friend auto operator<=(const Dual& a, const Dual& b) { return a.value <= b.value; }
  ELBO_INLINE friend auto operator>=(const Dual& a, const Dual& b) { return a.value >= b.value; }
  ELBO_INLINE friend auto operator==(const Dual& a, const Dual& b) { return a.value == b.value; }

  /// f(a) from its value and slope. A variable that does not move adds nothing, however steep f.
  ELBO_INLINE friend Dual chain(const Dual& a, const S& f, const S& slope) {
    Dual out(f);
    for (size_t i = 0; i < N; ++i) out.partial[i] = times(slope, a.partial[i]);
    return out;
  }
  ELBO_INLINE friend Dual chain(const Dual& a, const Dual& b, const S& f, const S& slope_a,
                                const S& slope_b) {
    Dual out(f);
    for (size_t i = 0; i < N; ++i)
      out.partial[i] = times(slope_a, a.partial[i]) + times(slope_b, b.partial[i]);
    return out;
  }

 private:
  ELBO_INLINE static S times(const S& slope, const S& partial) {
    return math::select(partial == 0.0, S(0.0), slope * partial);
  }
};

}  // namespace elbo
