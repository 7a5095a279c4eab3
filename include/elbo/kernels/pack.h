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

// Under the sanitizers only the baseline is compiled: the source is the same, and instrumented code
// that is flattened takes minutes a law.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define ELBO_HAS_AVX2_LOOPS
/// Whether this machine runs what is compiled for ELBO_AVX2, in which everything is inlined: what
/// is not keeps the baseline's instructions.
#define ELBO_AVX2 __attribute__((flatten, target("avx2,fma,bmi2")))
inline bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2");
}
#endif

// Both types have copy constructors of their own, and so are passed in memory: a convention that
// does not depend on the instruction set, for code compiled for AVX2 that calls code that is not.

// Nor do their alignments depend on it: without AVX the compiler's own would be 16.

/// The lanes of a comparison: all bits set, or none.
struct alignas(32) PackMask {
  typedef int64_t Lanes __attribute__((vector_size(32)));
  Lanes v;

  ELBO_INLINE explicit PackMask(const Lanes& lanes) : v(lanes) {}
  ELBO_INLINE PackMask(const PackMask& other) : v(other.v) {}
  ELBO_INLINE PackMask& operator=(const PackMask& other) {
    v = other.v;
    return *this;
  }
};

struct alignas(32) Pack {
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
ELBO_INLINE bool any(const PackMask& m) { return ((m.v[0] | m.v[1]) | (m.v[2] | m.v[3])) != 0; }

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

ELBO_INLINE Pack floor(const Pack& x) {
  const Pack near = detail::nearest(x);
  return select(abs(x) < 0x1p51, near - select(near > x, 1.0, 0.0), x);
}

namespace detail {
/// e^x = (1 + fraction) 2^n: Cody and Waite's reduction, then the rational form of Cephes.
struct Exponential {
  Pack n, fraction;
};
ELBO_INLINE Exponential exponential(const Pack& x) {
  constexpr double kP[] = {1.26177193074810590878e-4, 3.02994407707446961300e-2,
                           9.99999999999999999910e-1};
  constexpr double kQ[] = {3.00198505138664455042e-6, 2.52448340349684104192e-3,
                           2.27265548208155028766e-1, 2.00000000000000000009e0};
  const Pack t = minimum(maximum(x, -746.0), 710.0);
  const Pack n = nearest(t * std::numbers::log2e);
  const Pack r = (t - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6;
  const Pack rr = r * r;
  const Pack p = r * polynomial(rr, kP);
  return {n, 2.0 * (p / (polynomial(rr, kQ) - p))};
}

/// log(x), or log(x + lost) with `lost` far below x's last place: reduction to
/// [sqrt(1/2), sqrt(2)), then the rational form of Cephes.
template <bool kSum>
ELBO_INLINE Pack log_of_sum(const Pack& x, const Pack& lost) {
  constexpr double kP[] = {1.01875663804580931796e-4, 4.97494994976747001425e-1,
                           4.70579119878881725854e0,  1.44989225341610930846e1,
                           1.79368678507819816313e1,  7.70838733755885391666e0};
  constexpr double kQ[] = {1.0,
                           1.12873587189167450590e1,
                           4.52279145837532221105e1,
                           8.29875266912776603211e1,
                           7.11544750618563894466e1,
                           2.31251620126765340583e1};
  typedef uint64_t Unsigned __attribute__((vector_size(sizeof(PackMask::Lanes))));
  const PackMask tiny = x < 2.2250738585072014e-308;
  const PackMask::Lanes b = bits(kSum ? x : select(tiny, x * 0x1p54, x));
  // exponent and mantissa in [1, 2), then both moved so that m lies about 1
  const auto exponent = (PackMask::Lanes)((Unsigned)b >> 52);
  Pack e = from_bits(exponent | 0x4330000000000000) - (0x1p52 + 1023.0);
  Pack m = from_bits((b & 0x000fffffffffffff) | 0x3ff0000000000000);
  const PackMask high = m > std::numbers::sqrt2;
  m = select(high, m * 0.5, m);
  e = select(high, e + 1.0, e);
  Pack t = m - 1.0;
  if constexpr (kSum) {
    const Pack factor = from_bits((2046 - exponent) << 52);  // m = x factor
    t = t + lost * select(high, factor * 0.5, factor);
  } else {
    e = select(tiny, e - 54.0, e);
  }
  const Pack tt = t * t;
  Pack y = t * (tt * polynomial(t, kP) / polynomial(t, kQ));
  y = y - e * 2.121944400546905827679e-4 - 0.5 * tt;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Pack beyond =
      select(x == 0.0, -kInfinity, select(x > 0.0, x, std::numeric_limits<double>::quiet_NaN()));
  return select((x > 0.0) & (x < kInfinity), t + y + e * 0.693359375, beyond);
}
}  // namespace detail

ELBO_INLINE Pack exp(const Pack& x) {
  const auto [n, fraction] = detail::exponential(x);
  // in two steps, so that neither factor leaves the range
  const Pack half = detail::nearest(n * 0.5);
  const Pack y = (1.0 + fraction) * detail::power_of_two(half) * detail::power_of_two(n - half);
  return select(x == x, y, x);
}
ELBO_INLINE Pack expm1(const Pack& x) {
  const auto [n, fraction] = detail::exponential(x);
  const Pack inner = minimum(maximum(n, -1022.0), 1022.0);
  const Pack scale = detail::power_of_two(inner);
  const Pack y = (scale * fraction + (scale - 1.0)) * detail::power_of_two(maximum(n - inner, 0.0));
  return select(x == x, y, x);
}

ELBO_INLINE Pack log(const Pack& x) { return detail::log_of_sum<false>(x, 0.0); }
ELBO_INLINE Pack log1p(const Pack& x) {
  const Pack u = 1.0 + x;
  const Pack lost = x - (u - 1.0);
  return detail::log_of_sum<true>(u, lost);  // where lost is NaN, u is infinite
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
namespace detail {
struct SineCosine {
  Pack sine, cosine;
};
/// Of quadrant * pi / 2 + x, |x| <= pi / 4, the quadrant whole: Cephes' polynomials.
ELBO_INLINE SineCosine sincos_reduced(const Pack& quadrant, const Pack& x) {
  constexpr double kSine[] = {1.58962301576546568060e-10, -2.50507477628578072866e-8,
                              2.75573136213857245213e-6,  -1.98412698295895385996e-4,
                              8.33333333332211858878e-3,  -1.66666666666666307295e-1};
  constexpr double kCosine[] = {-1.13585365213876817300e-11, 2.08757008419747316778e-9,
                                -2.75573141792967388112e-7,  2.48015872888517045348e-5,
                                -1.38888888888730564116e-3,  4.16666666666665929218e-2};
  const Pack z = x * x;
  const Pack s = x + x * z * polynomial(z, kSine);
  const Pack c = 1.0 - 0.5 * z + z * z * polynomial(z, kCosine);
  const PackMask::Lanes q = bits(quadrant + 0x1.8p52);  // its low bits, in two's complement
  const PackMask odd((q & 1) != 0);
  const PackMask::Lanes sine_sign = (q & 2) << 62, cosine_sign = ((q + 1) & 2) << 62;
  return {from_bits(bits(select(odd, c, s)) ^ sine_sign),
          from_bits(bits(select(odd, s, c)) ^ cosine_sign)};
}
/// Whether Cody and Waite's reduction in three parts keeps all digits.
ELBO_INLINE PackMask moderate(const Pack& x) { return abs(x) < 1e6; }
ELBO_INLINE SineCosine sincos(const Pack& x) {
  const Pack n = nearest(x * (2 / std::numbers::pi));
  const Pack r = ((x - n * (2 * 7.85398125648498535156e-1)) - n * (2 * 3.77489470793079817668e-8)) -
                 n * (2 * 2.69515142907905952645e-15);
  return sincos_reduced(n, r);
}
}  // namespace detail

/// The sine and cosine of 2 pi u, 0 <= u <= 1.
ELBO_INLINE void sincos_turns(const Pack& u, Pack* sine, Pack* cosine) {
  const Pack quadrant = detail::nearest(4.0 * u);
  const auto both =
      detail::sincos_reduced(quadrant, (u - 0.25 * quadrant) * (2 * std::numbers::pi));
  *sine = both.sine;
  *cosine = both.cosine;
}
ELBO_INLINE Pack sin(const Pack& x) {
  const Pack fast = detail::sincos(x).sine;
  const PackMask plain = detail::moderate(x);
  if (!any(!plain)) return fast;
  return select(plain, fast, lanewise([](double t) { return std::sin(t); }, x));
}
ELBO_INLINE Pack cos(const Pack& x) {
  const Pack fast = detail::sincos(x).cosine;
  const PackMask plain = detail::moderate(x);
  if (!any(!plain)) return fast;
  return select(plain, fast, lanewise([](double t) { return std::cos(t); }, x));
}
ELBO_INLINE Pack tan(const Pack& x) {
  const auto both = detail::sincos(x);
  const Pack fast = both.sine / both.cosine;
  const PackMask plain = detail::moderate(x);
  if (!any(!plain)) return fast;
  return select(plain, fast, lanewise([](double t) { return std::tan(t); }, x));
}
/// Reduction to |x| <= tan(pi / 8), then the rational form of Cephes.
ELBO_INLINE Pack atan(const Pack& x) {
  constexpr double kP[] = {-8.750608600031904122785e-1, -1.615753718733365076637e1,
                           -7.500855792314704667340e1, -1.228866684490136173410e2,
                           -6.485021904942025371773e1};
  constexpr double kQ[] = {1.0,
                           2.485846490142306297962e1,
                           1.650270098316988542046e2,
                           4.328810604912902668951e2,
                           4.853903996359136964868e2,
                           1.945506571482613964425e2};
  constexpr double kRest = 6.123233995736765886130e-17;  // of pi / 2
  const Pack size = abs(x);
  const PackMask far = size > 2.41421356237309504880, middle = size > 0.66;
  const Pack t = select(far, -1.0 / size, select(middle, (size - 1.0) / (size + 1.0), size));
  const Pack z = t * t;
  const Pack correction = z * detail::polynomial(z, kP) / detail::polynomial(z, kQ);
  const Pack y = select(far, std::numbers::pi / 2, select(middle, std::numbers::pi / 4, 0.0)) +
                 (t * correction + t + select(far, kRest, select(middle, 0.5 * kRest, 0.0)));
  return select(x < 0.0, -y, y);
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
