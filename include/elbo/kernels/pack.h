// Four doubles at a time: the type that formulas run on in a fused pass.
//
// Written in the vector extension that GCC and Clang share; every function is inlined, so that it
// takes the instruction set of the loop it lands in. Errors are a few units in the last place.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <utility>

#define ELBO_INLINE inline __attribute__((always_inline))

namespace elbo::math {

// Both types have copy constructors of their own, and so are passed in memory: a convention that
// does not depend on the instruction set, for code compiled for AVX2 that calls code that is not.

/// The lanes of a comparison: all bits set, or none.
struct PackMask {
  typedef int64_t Lanes __attribute__((vector_size(32)));
  Lanes v;

  ELBO_INLINE explicit PackMask(const Lanes& lanes) : v(lanes) {}
  ELBO_INLINE PackMask(const PackMask& other) : v(other.v) {}
  ELBO_INLINE PackMask& operator=(const PackMask& other) {
    v = other.v;
    return *this;
  }
};

struct Pack {
  static constexpr int kLanes = 4;
  typedef double Lanes __attribute__((vector_size(32)));
  Lanes v;

  ELBO_INLINE Pack() : v{} {}
  ELBO_INLINE Pack(double x) : v(Lanes{} + x) {}  // NOLINT: constants mix freely with packs
  ELBO_INLINE explicit Pack(const Lanes& lanes) : v(lanes) {}
  ELBO_INLINE Pack(const Pack& other) : v(other.v) {}
  ELBO_INLINE Pack& operator=(const Pack& other) {
    v = other.v;
    return *this;
  }
};

ELBO_INLINE Pack operator-(const Pack& a) { return Pack(-a.v); }
ELBO_INLINE Pack operator+(const Pack& a, const Pack& b) { return Pack(a.v + b.v); }
ELBO_INLINE Pack operator-(const Pack& a, const Pack& b) { return Pack(a.v - b.v); }
ELBO_INLINE Pack operator*(const Pack& a, const Pack& b) { return Pack(a.v * b.v); }
ELBO_INLINE Pack operator/(const Pack& a, const Pack& b) { return Pack(a.v / b.v); }
ELBO_INLINE PackMask operator<(const Pack& a, const Pack& b) { return PackMask(a.v < b.v); }
ELBO_INLINE PackMask operator>(const Pack& a, const Pack& b) { return PackMask(a.v > b.v); }
ELBO_INLINE PackMask operator<=(const Pack& a, const Pack& b) { return PackMask(a.v <= b.v); }
ELBO_INLINE PackMask operator>=(const Pack& a, const Pack& b) { return PackMask(a.v >= b.v); }
ELBO_INLINE PackMask operator==(const Pack& a, const Pack& b) { return PackMask(a.v == b.v); }
ELBO_INLINE PackMask operator!=(const Pack& a, const Pack& b) { return PackMask(a.v != b.v); }
ELBO_INLINE PackMask operator&(const PackMask& a, const PackMask& b) { return PackMask(a.v & b.v); }
ELBO_INLINE PackMask operator|(const PackMask& a, const PackMask& b) { return PackMask(a.v | b.v); }
ELBO_INLINE PackMask operator!(const PackMask& a) { return PackMask(~a.v); }

ELBO_INLINE Pack select(const PackMask& m, const Pack& a, const Pack& b) {
  return Pack(m.v ? a.v : b.v);
}
ELBO_INLINE bool any(const PackMask& m) {
  int64_t all = 0;
  for (int i = 0; i < Pack::kLanes; ++i) all |= m.v[i];
  return all != 0;
}

/// f lane by lane: functions that are too long to be worth a vector form.
template <class F, class... P>
ELBO_INLINE Pack lanewise(const F& f, const P&... p) {
  Pack out;
  for (int i = 0; i < Pack::kLanes; ++i) out.v[i] = f(p.v[i]...);
  return out;
}

ELBO_INLINE Pack abs(const Pack& x) { return select(x < 0.0, -x, x); }
ELBO_INLINE Pack square(const Pack& x) { return x * x; }
ELBO_INLINE Pack maximum(const Pack& a, const Pack& b) { return select(a > b, a, b); }
ELBO_INLINE Pack minimum(const Pack& a, const Pack& b) { return select(a < b, a, b); }
ELBO_INLINE Pack sqrt(const Pack& x) {
  Pack out;
  for (int i = 0; i < Pack::kLanes; ++i) out.v[i] = __builtin_sqrt(x.v[i]);
  return out;
}
ELBO_INLINE Pack floor(const Pack& x) {
  return lanewise([](double t) { return std::floor(t); }, x);
}

namespace detail {

ELBO_INLINE PackMask::Lanes bits(const Pack& x) {
  PackMask::Lanes out;
  std::memcpy(&out, &x.v, sizeof out);
  return out;
}
ELBO_INLINE Pack from_bits(const PackMask::Lanes& b) {
  Pack out;
  std::memcpy(&out.v, &b, sizeof b);
  return out;
}
/// Nearest whole number, for |x| < 2^51.
ELBO_INLINE Pack nearest(const Pack& x) {
  constexpr double kMagic = 0x1.8p52;
  return (x + kMagic) - kMagic;
}
/// 2^n for whole n in [-1022, 1023].
ELBO_INLINE Pack power_of_two(const Pack& n) {
  const Pack shifted = n + 0x1.8p52;  // the low bits hold n in two's complement
  return from_bits((bits(shifted) + 1023) << 52);
}
template <size_t N>
ELBO_INLINE Pack polynomial(const Pack& x, const double (&c)[N]) {  // highest power first
  Pack y = c[0];
  for (size_t i = 1; i < N; ++i) y = y * x + c[i];
  return y;
}

}  // namespace detail

/// Cody and Waite's reduction, then the rational form of Cephes.
ELBO_INLINE Pack exp(const Pack& x) {
  constexpr double kP[] = {1.26177193074810590878e-4, 3.02994407707441961300e-2,
                           9.99999999999999999910e-1};
  constexpr double kQ[] = {3.00198505138664455042e-6, 2.52448340349684104192e-3,
                           2.27265548208155028766e-1, 2.00000000000000000009e0};
  const Pack t = minimum(maximum(x, -746.0), 710.0);
  const Pack n = detail::nearest(t * std::numbers::log2e);
  const Pack r = (t - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6;
  const Pack rr = r * r;
  const Pack p = r * detail::polynomial(rr, kP);
  const Pack e = 1.0 + 2.0 * (p / (detail::polynomial(rr, kQ) - p));
  // in two steps, so that neither factor leaves the range
  const Pack half = detail::nearest(n * 0.5);
  const Pack y = e * detail::power_of_two(half) * detail::power_of_two(n - half);
  return select(x == x, y, x);
}

/// Reduction to [sqrt(1/2), sqrt(2)), then the rational form of Cephes.
ELBO_INLINE Pack log(const Pack& x) {
  constexpr double kP[] = {1.01875663804580931796e-4, 4.97494994976747001425e-1,
                           4.70579119878881725854e0,  1.44989225341610930846e1,
                           1.79368678507819816313e1,  7.70838733755885391666e0};
  constexpr double kQ[] = {1.0,
                           1.12873587189167450590e1,
                           4.52279145837532221105e1,
                           8.29875266912776603211e1,
                           7.11544750618563894466e1,
                           2.31251620126765340583e1};
  const PackMask tiny = x < 2.2250738585072014e-308;
  const Pack scaled = select(tiny, x * 0x1p54, x);
  const PackMask::Lanes b = detail::bits(scaled);
  // exponent and mantissa in [1, 2), then both moved so that m lies about 1
  PackMask::Lanes exponent = (b >> 52) & 0x7ff;
  Pack e = detail::from_bits(exponent | 0x4330000000000000) - (0x1p52 + 1023.0);
  Pack m = detail::from_bits((b & 0x000fffffffffffff) | 0x3ff0000000000000);
  const PackMask high = m > std::numbers::sqrt2;
  m = select(high, m * 0.5, m);
  e = select(high, e + 1.0, e);
  e = select(tiny, e - 54.0, e);
  const Pack t = m - 1.0;
  const Pack tt = t * t;
  Pack y = t * (tt * detail::polynomial(t, kP) / detail::polynomial(t, kQ));
  y = y - e * 2.121944400546905827679e-4 - 0.5 * tt;
  Pack out = t + y + e * 0.693359375;
  out = select(x == 0.0, -std::numeric_limits<double>::infinity(), out);
  out = select(x < 0.0, std::numeric_limits<double>::quiet_NaN(), out);
  return select(x < std::numeric_limits<double>::infinity(), out, x);  // and NaN
}

/// log(1 + x) and what rounding 1 + x lost.
ELBO_INLINE Pack log1p(const Pack& x) {
  const Pack u = 1.0 + x;
  const Pack lost = (x - (u - 1.0)) / u;
  const Pack plain = log(u);
  return select((abs(x) < 1e300) & (u > 0.0), plain + lost, plain);
}

ELBO_INLINE Pack expm1(const Pack& x) {
  constexpr double kP[] = {1.2617719307481059087798e-4, 3.0299440770744196129956e-2,
                           9.9999999999999999991025e-1};
  constexpr double kQ[] = {3.0019850513866445504159e-6, 2.5244834034968410419224e-3,
                           2.2726554820815502876593e-1, 2.0000000000000000000897e0};
  const Pack rr = x * x;
  const Pack p = x * detail::polynomial(rr, kP);
  const Pack near = 2.0 * (p / (detail::polynomial(rr, kQ) - p));
  return select(abs(x) < 0.5, near, exp(x) - 1.0);
}

ELBO_INLINE Pack tanh(const Pack& x) {
  const Pack t = expm1(2.0 * minimum(abs(x), 20.0));
  const Pack y = t / (t + 2.0);
  return select(x < 0.0, -y, select(x == x, y, x));
}
ELBO_INLINE Pack sigmoid(const Pack& x) {
  const Pack e = exp(-abs(x));
  return select(x < 0.0, e, 1.0) / (1.0 + e);
}
ELBO_INLINE Pack softplus(const Pack& x) { return select(x > 0.0, x, 0.0) + log1p(exp(-abs(x))); }
ELBO_INLINE Pack log1mexp(const Pack& x) {
  const PackMask near = x > -std::numbers::ln2;
  const Pack inner = select(near, -expm1(x), -exp(x));
  return select(near, log(inner), log1p(inner));
}
ELBO_INLINE Pack xlogy(const Pack& x, const Pack& y) { return select(x == 0.0, 0.0, x * log(y)); }
ELBO_INLINE Pack xlog1py(const Pack& x, const Pack& y) {
  return select(x == 0.0, 0.0, x * log1p(y));
}
/// By exp(y log x) for x > 0, whose relative error is |y log x| times that of exp.
ELBO_INLINE Pack pow(const Pack& x, const Pack& y) {
  const PackMask plain = (x > 0.0) & (x < std::numeric_limits<double>::infinity());
  const Pack fast = exp(y * log(x));
  if (!any(!plain)) return fast;
  return select(plain, fast, lanewise([](double a, double b) { return std::pow(a, b); }, x, y));
}
ELBO_INLINE Pack sin(const Pack& x) {
  return lanewise([](double t) { return std::sin(t); }, x);
}
ELBO_INLINE Pack cos(const Pack& x) {
  return lanewise([](double t) { return std::cos(t); }, x);
}
ELBO_INLINE Pack tan(const Pack& x) {
  return lanewise([](double t) { return std::tan(t); }, x);
}
ELBO_INLINE Pack atan(const Pack& x) {
  return lanewise([](double t) { return std::atan(t); }, x);
}
ELBO_INLINE Pack erf(const Pack& x) {
  return lanewise([](double t) { return std::erf(t); }, x);
}
ELBO_INLINE Pack erfc(const Pack& x) {
  return lanewise([](double t) { return std::erfc(t); }, x);
}

namespace detail {
/// z = x + 8 and the rising product x (x + 1) ... (x + 7) where x < 8; x and 1 elsewhere.
struct Shifted {
  Pack z, product, harmonic;  ///< harmonic: the product's logarithmic derivative
};
ELBO_INLINE Shifted shifted(const Pack& x) {
  Pack product = x, slope = 1.0;
  for (int k = 1; k < 8; ++k) {
    const Pack factor = x + static_cast<double>(k);
    slope = slope * factor + product;
    product = product * factor;
  }
  const PackMask small = x < 8.0;
  return {select(small, x + 8.0, x), select(small, product, 1.0),
          select(small, slope / product, 0.0)};
}
}  // namespace detail

/// log Gamma(x) for x > 0: Stirling's series at x + 8.
ELBO_INLINE Pack lgamma(const Pack& x) {
  constexpr double kSeries[] = {43867.0 / 244188, -3617.0 / 122400, 1.0 / 156,
                                -691.0 / 360360,  1.0 / 1188,       -1.0 / 1680,
                                1.0 / 1260,       -1.0 / 360,       1.0 / 12};
  const detail::Shifted s = detail::shifted(x);
  const Pack w = 1.0 / s.z;
  const Pack series = w * detail::polynomial(w * w, kSeries);
  const Pack y = (s.z - 0.5) * log(s.z) - s.z + 0.91893853320467274178 + series - log(s.product);
  return select(x < 1e305, y, x * log(x));
}
/// For x > 0: the asymptotic series at x + 8.
ELBO_INLINE Pack digamma(const Pack& x) {
  constexpr double kSeries[] = {-43867.0 / 14364, 3617.0 / 8160, -1.0 / 12,
                                691.0 / 32760,    -1.0 / 132,    1.0 / 240,
                                -1.0 / 252,       1.0 / 120,     -1.0 / 12};
  const detail::Shifted s = detail::shifted(x);
  const Pack w = 1.0 / s.z;
  return log(s.z) - 0.5 * w + w * w * detail::polynomial(w * w, kSeries) - s.harmonic;
}

}  // namespace elbo::math
