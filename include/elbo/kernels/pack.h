// Four doubles at a time, or eight: the types that formulas run on in a fused pass.
//
// Written in the vector extension that GCC and Clang share; every function is inlined, so that it
// takes the instruction set of the loop it lands in. Errors are a few units in the last place.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <type_traits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ELBO_INLINE inline __attribute__((always_inline))

namespace elbo::math {

inline constexpr double kHalfLogTwoPi = 0.91893853320467274178;  ///< 1/2 log(2 pi)

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
/// The same with the widest vectors of x86, and for a function that becomes part of such.
#define ELBO_AVX512_SET "avx512f,avx512vl,avx512dq,avx512bw,fma,bmi2,prefer-vector-width=512"
#define ELBO_AVX512 __attribute__((flatten, target(ELBO_AVX512_SET)))
#define ELBO_AVX512_PIECE __attribute__((target(ELBO_AVX512_SET)))
inline bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && has_avx2();
}
#endif

// Packs have copy constructors of their own, and so are passed in memory: a convention that does
// not depend on the instruction set, for code compiled for AVX2 that calls code that is not. Nor do
// their alignments depend on it: without AVX the compiler's own would be 16.

/// The vectors of L lanes.
template <int L>
struct LanesOf {
  typedef double Doubles __attribute__((vector_size(8 * L)));
  typedef int64_t Bits __attribute__((vector_size(8 * L)));
};

/// The lanes of a comparison: all bits set, or none.
template <int L>
struct alignas(8 * L) MaskOf {
  using Doubles = typename LanesOf<L>::Doubles;
  using Bits = typename LanesOf<L>::Bits;
  Bits v;

  ELBO_INLINE explicit MaskOf(const Bits& lanes) : v(lanes) {}
  ELBO_INLINE MaskOf(const MaskOf& other) : v(other.v) {}
  ELBO_INLINE MaskOf& operator=(const MaskOf& other) {
    v = other.v;
    return *this;
  }
  ELBO_INLINE static MaskOf less(const Doubles& a, const Doubles& b) { return MaskOf(a < b); }
  ELBO_INLINE static MaskOf at_most(const Doubles& a, const Doubles& b) { return MaskOf(a <= b); }
  ELBO_INLINE static MaskOf equal(const Doubles& a, const Doubles& b) { return MaskOf(a == b); }
  ELBO_INLINE static MaskOf nonzero(const Bits& x) { return MaskOf(x != 0); }
  ELBO_INLINE void choose(const Doubles& a, const Doubles& b, Doubles* out) const {
    *out = v ? a : b;
  }
  [[nodiscard]] ELBO_INLINE bool any() const {
    int64_t bits = 0;
    for (int i = 0; i < L; ++i) bits |= v[i];
    return bits != 0;
  }
};

#if defined(ELBO_HAS_AVX2_LOOPS) && !defined(__clang__)
/// As the mask registers of AVX-512 have it, one bit a lane: GCC 12 compares eight doubles one by
/// one where it has to spread the outcome over their lanes. A formula that the compiler leaves out
/// of line calls these; all others contain them.
template <>
struct MaskOf<8> {
  using Doubles = LanesOf<8>::Doubles;
  using Bits = LanesOf<8>::Bits;
  uint8_t v;

  ELBO_INLINE explicit MaskOf(int bits) : v(static_cast<uint8_t>(bits)) {}
  ELBO_AVX512_PIECE static MaskOf less(const Doubles& a, const Doubles& b) {
    return MaskOf(__builtin_ia32_cmppd512_mask(a, b, 1, -1, 4));
  }
  ELBO_AVX512_PIECE static MaskOf at_most(const Doubles& a, const Doubles& b) {
    return MaskOf(__builtin_ia32_cmppd512_mask(a, b, 2, -1, 4));
  }
  ELBO_AVX512_PIECE static MaskOf equal(const Doubles& a, const Doubles& b) {
    return MaskOf(__builtin_ia32_cmppd512_mask(a, b, 0, -1, 4));
  }
  ELBO_AVX512_PIECE static MaskOf nonzero(const Bits& x) {
    typedef long long Words __attribute__((vector_size(64)));
    return MaskOf(__builtin_ia32_ptestmq512((Words)x, (Words)x, -1));
  }
  ELBO_AVX512_PIECE void choose(const Doubles& a, const Doubles& b, Doubles* out) const {
    *out = __builtin_ia32_blendmpd_512_mask(b, a, v);
  }
  [[nodiscard]] ELBO_INLINE bool any() const { return v != 0; }
};
#endif

template <int L>
struct alignas(8 * L) PackOf {
  static constexpr int kLanes = L;
  using Lanes = typename LanesOf<L>::Doubles;
  using Mask = MaskOf<L>;
  Lanes v;

  ELBO_INLINE PackOf() : v{} {}
  ELBO_INLINE PackOf(double x) : v(Lanes{} + x) {}  // NOLINT: constants mix freely with packs
  ELBO_INLINE explicit PackOf(const Lanes& lanes) : v(lanes) {}
  ELBO_INLINE PackOf(const PackOf& other) : v(other.v) {}
  ELBO_INLINE PackOf& operator=(const PackOf& other) {
    v = other.v;
    return *this;
  }

  ELBO_INLINE friend PackOf operator-(const PackOf& a) { return PackOf(-a.v); }
  ELBO_INLINE friend PackOf operator+(const PackOf& a, const PackOf& b) {
    return PackOf(a.v + b.v);
  }
  ELBO_INLINE friend PackOf operator-(const PackOf& a, const PackOf& b) {
    return PackOf(a.v - b.v);
  }
  ELBO_INLINE friend PackOf operator*(const PackOf& a, const PackOf& b) {
    return PackOf(a.v * b.v);
  }
  ELBO_INLINE friend PackOf operator/(const PackOf& a, const PackOf& b) {
    return PackOf(a.v / b.v);
  }
  ELBO_INLINE friend Mask operator<(const PackOf& a, const PackOf& b) {
    return Mask::less(a.v, b.v);
  }
  ELBO_INLINE friend Mask operator>(const PackOf& a, const PackOf& b) {
    return Mask::less(b.v, a.v);
  }
  ELBO_INLINE friend Mask operator<=(const PackOf& a, const PackOf& b) {
    return Mask::at_most(a.v, b.v);
  }
  ELBO_INLINE friend Mask operator>=(const PackOf& a, const PackOf& b) {
    return Mask::at_most(b.v, a.v);
  }
  ELBO_INLINE friend Mask operator==(const PackOf& a, const PackOf& b) {
    return Mask::equal(a.v, b.v);
  }
  ELBO_INLINE friend Mask operator!=(const PackOf& a, const PackOf& b) {
    return !Mask::equal(a.v, b.v);
  }
};

// A second argument that may be a plain number: L is told by the first.
template <class T>
using Same = std::type_identity_t<T>;

/// What every machine with vectors has registers for, and what the widest of x86 have.
using Pack = PackOf<4>;
using PackMask = Pack::Mask;
using WidePack = PackOf<8>;

template <class T>
inline constexpr bool kIsPack = false;
template <int L>
inline constexpr bool kIsPack<PackOf<L>> = true;

template <int L>
ELBO_INLINE MaskOf<L> operator&(const MaskOf<L>& a, const MaskOf<L>& b) {
  return MaskOf<L>(a.v & b.v);
}
template <int L>
ELBO_INLINE MaskOf<L> operator|(const MaskOf<L>& a, const MaskOf<L>& b) {
  return MaskOf<L>(a.v | b.v);
}
template <int L>
ELBO_INLINE MaskOf<L> operator!(const MaskOf<L>& a) {
  return MaskOf<L>(~a.v);
}

template <int L>
ELBO_INLINE PackOf<L> select(const MaskOf<L>& m, const Same<PackOf<L>>& a,
                             const Same<PackOf<L>>& b) {
  PackOf<L> out;
  m.choose(a.v, b.v, &out.v);
  return out;
}
template <int L>
ELBO_INLINE bool any(const MaskOf<L>& m) {
  return m.any();
}

/// f lane by lane: functions that are too long to be worth a vector form.
template <class F, class P, class... Q>
ELBO_INLINE P lanewise(const F& f, const P& first, const Q&... rest) {
  P out;
  for (int i = 0; i < P::kLanes; ++i) out.v[i] = f(first.v[i], rest.v[i]...);
  return out;
}

template <int L>
ELBO_INLINE PackOf<L> abs(const PackOf<L>& x) {
  return select(x < 0.0, -x, x);
}
template <int L>
ELBO_INLINE PackOf<L> square(const PackOf<L>& x) {
  return x * x;
}
template <int L>
ELBO_INLINE PackOf<L> maximum(const PackOf<L>& a, const Same<PackOf<L>>& b) {
  return select(a > b, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> minimum(const PackOf<L>& a, const Same<PackOf<L>>& b) {
  return select(a < b, a, b);
}
template <int L>
ELBO_INLINE PackOf<L> sqrt(const PackOf<L>& x) {
  PackOf<L> out;
  for (int i = 0; i < L; ++i) out.v[i] = __builtin_sqrt(x.v[i]);
  return out;
}

namespace detail {

template <int L>
ELBO_INLINE typename LanesOf<L>::Bits bits(const PackOf<L>& x) {
  typename LanesOf<L>::Bits out;
  std::memcpy(&out, &x.v, sizeof out);
  return out;
}
template <int L>
ELBO_INLINE PackOf<L> from_bits(const typename LanesOf<L>::Bits& b) {
  PackOf<L> out;
  std::memcpy(&out.v, &b, sizeof b);
  return out;
}
/// Nearest whole number, for |x| < 2^51.
template <int L>
ELBO_INLINE PackOf<L> nearest(const PackOf<L>& x) {
  constexpr double kMagic = 0x1.8p52;
  return (x + kMagic) - kMagic;
}
/// 2^n for whole n in [-1022, 1023].
template <int L>
ELBO_INLINE PackOf<L> power_of_two(const PackOf<L>& n) {
  const PackOf<L> shifted = n + 0x1.8p52;  // the low bits hold n in two's complement
  return from_bits<L>((bits(shifted) + 1023) << 52);
}
template <int L, size_t N>
ELBO_INLINE PackOf<L> polynomial(const PackOf<L>& x, const double (&c)[N]) {  // highest power first
  PackOf<L> y = c[0];
  for (size_t i = 1; i < N; ++i) y = y * x + c[i];
  return y;
}

}  // namespace detail

template <int L>
ELBO_INLINE PackOf<L> floor(const PackOf<L>& x) {
  const PackOf<L> near = detail::nearest(x);
  return select(abs(x) < 0x1p51, near - select(near > x, 1.0, 0.0), x);
}

namespace detail {
/// e^x = (1 + fraction) 2^n: Cody and Waite's reduction, then the rational form of Cephes.
template <int L>
struct Exponential {
  PackOf<L> n, fraction;
};
template <int L>
ELBO_INLINE Exponential<L> exponential(const PackOf<L>& x) {
  constexpr double kP[] = {1.26177193074810590878e-4, 3.02994407707446961300e-2,
                           9.99999999999999999910e-1};
  constexpr double kQ[] = {3.00198505138664455042e-6, 2.52448340349684104192e-3,
                           2.27265548208155028766e-1, 2.00000000000000000009e0};
  const PackOf<L> t = minimum(maximum(x, -746.0), 710.0);
  const PackOf<L> n = nearest(t * std::numbers::log2e);
  const PackOf<L> r = (t - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6;
  const PackOf<L> rr = r * r;
  const PackOf<L> p = r * polynomial(rr, kP);
  return {n, 2.0 * (p / (polynomial(rr, kQ) - p))};
}

/// log(x), or log(x + lost) with `lost` far below x's last place: reduction to
/// [sqrt(1/2), sqrt(2)), then the rational form of Cephes.
template <bool kSum, int L>
ELBO_INLINE PackOf<L> log_of_sum(const PackOf<L>& x, const Same<PackOf<L>>& lost) {
  constexpr double kP[] = {1.01875663804580931796e-4, 4.97494994976747001425e-1,
                           4.70579119878881725854e0,  1.44989225341610930846e1,
                           1.79368678507819816313e1,  7.70838733755885391666e0};
  constexpr double kQ[] = {1.0,
                           1.12873587189167450590e1,
                           4.52279145837532221105e1,
                           8.29875266912776603211e1,
                           7.11544750618563894466e1,
                           2.31251620126765340583e1};
  typedef uint64_t Unsigned __attribute__((vector_size(8 * L)));
  const MaskOf<L> tiny = x < 2.2250738585072014e-308;
  const typename LanesOf<L>::Bits b = bits(kSum ? x : select(tiny, x * 0x1p54, x));
  // exponent and mantissa in [1, 2), then both moved so that m lies about 1
  const auto exponent = (typename LanesOf<L>::Bits)((Unsigned)b >> 52);
  PackOf<L> e = from_bits<L>(exponent | 0x4330000000000000) - (0x1p52 + 1023.0);
  PackOf<L> m = from_bits<L>((b & 0x000fffffffffffff) | 0x3ff0000000000000);
  const MaskOf<L> high = m > std::numbers::sqrt2;
  m = select(high, m * 0.5, m);
  e = select(high, e + 1.0, e);
  PackOf<L> t = m - 1.0;
  if constexpr (kSum) {
    const PackOf<L> factor = from_bits<L>((2046 - exponent) << 52);  // m = x factor
    t = t + lost * select(high, factor * 0.5, factor);
  } else {
    e = select(tiny, e - 54.0, e);
  }
  const PackOf<L> tt = t * t;
  PackOf<L> y = t * (tt * polynomial(t, kP) / polynomial(t, kQ));
  y = y - e * 2.121944400546905827679e-4 - 0.5 * tt;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const PackOf<L> beyond =
      select(x == 0.0, -kInfinity, select(x > 0.0, x, std::numeric_limits<double>::quiet_NaN()));
  return select((x > 0.0) & (x < kInfinity), t + y + e * 0.693359375, beyond);
}
}  // namespace detail

template <int L>
ELBO_INLINE PackOf<L> exp(const PackOf<L>& x) {
  const auto [n, fraction] = detail::exponential(x);
  // in two steps, so that neither factor leaves the range
  const PackOf<L> half = detail::nearest(n * 0.5);
  const PackOf<L> y =
      (1.0 + fraction) * detail::power_of_two(half) * detail::power_of_two(n - half);
  return select(x == x, y, x);
}
template <int L>
ELBO_INLINE PackOf<L> expm1(const PackOf<L>& x) {
  const auto [n, fraction] = detail::exponential(x);
  const PackOf<L> inner = minimum(maximum(n, -1022.0), 1022.0);
  const PackOf<L> scale = detail::power_of_two(inner);
  const PackOf<L> y =
      (scale * fraction + (scale - 1.0)) * detail::power_of_two(maximum(n - inner, 0.0));
  return select(x == x, y, x);
}

template <int L>
ELBO_INLINE PackOf<L> log(const PackOf<L>& x) {
  return detail::log_of_sum<false>(x, 0.0);
}
template <int L>
ELBO_INLINE PackOf<L> log1p(const PackOf<L>& x) {
  const PackOf<L> u = 1.0 + x;
  const PackOf<L> lost = x - (u - 1.0);
  return detail::log_of_sum<true>(u, lost);  // where lost is NaN, u is infinite
}

template <int L>
ELBO_INLINE PackOf<L> tanh(const PackOf<L>& x) {
  const PackOf<L> t = expm1(2.0 * minimum(abs(x), 20.0));
  const PackOf<L> y = t / (t + 2.0);
  return select(x < 0.0, -y, select(x == x, y, x));
}
template <int L>
ELBO_INLINE PackOf<L> sigmoid(const PackOf<L>& x) {
  const PackOf<L> e = exp(-abs(x));
  return select(x < 0.0, e, 1.0) / (1.0 + e);
}
template <int L>
ELBO_INLINE PackOf<L> softplus(const PackOf<L>& x) {
  return select(x > 0.0, x, 0.0) + log1p(exp(-abs(x)));
}
template <int L>
ELBO_INLINE PackOf<L> log1mexp(const PackOf<L>& x) {
  const MaskOf<L> near = x > -std::numbers::ln2;
  const PackOf<L> inner = select(near, -expm1(x), -exp(x));
  return select(near, log(inner), log1p(inner));
}
template <int L>
ELBO_INLINE PackOf<L> xlogy(const PackOf<L>& x, const Same<PackOf<L>>& y) {
  return select(x == 0.0, 0.0, x * log(y));
}
template <int L>
ELBO_INLINE PackOf<L> xlog1py(const PackOf<L>& x, const Same<PackOf<L>>& y) {
  return select(x == 0.0, 0.0, x * log1p(y));
}
/// By exp(y log x) for x > 0, whose relative error is |y log x| times that of exp.
template <int L>
ELBO_INLINE PackOf<L> pow(const PackOf<L>& x, const Same<PackOf<L>>& y) {
  const MaskOf<L> plain = (x > 0.0) & (x < std::numeric_limits<double>::infinity());
  const PackOf<L> fast = exp(y * log(x));
  if (!any(!plain)) return fast;
  return select(plain, fast, lanewise([](double a, double b) { return std::pow(a, b); }, x, y));
}
namespace detail {
template <int L>
struct SineCosine {
  PackOf<L> sine, cosine;
};
/// Of quadrant * pi / 2 + x, |x| <= pi / 4, the quadrant whole: Cephes' polynomials.
template <int L>
ELBO_INLINE SineCosine<L> sincos_reduced(const PackOf<L>& quadrant, const PackOf<L>& x) {
  constexpr double kSine[] = {1.58962301576546568060e-10, -2.50507477628578072866e-8,
                              2.75573136213857245213e-6,  -1.98412698295895385996e-4,
                              8.33333333332211858878e-3,  -1.66666666666666307295e-1};
  constexpr double kCosine[] = {-1.13585365213876817300e-11, 2.08757008419747316778e-9,
                                -2.75573141792967388112e-7,  2.48015872888517045348e-5,
                                -1.38888888888730564116e-3,  4.16666666666665929218e-2};
  const PackOf<L> z = x * x;
  const PackOf<L> s = x + x * z * polynomial(z, kSine);
  const PackOf<L> c = 1.0 - 0.5 * z + z * z * polynomial(z, kCosine);
  const typename LanesOf<L>::Bits q =
      bits(quadrant + 0x1.8p52);  // its low bits, in two's complement
  const auto odd = MaskOf<L>::nonzero(q & 1);
  const typename LanesOf<L>::Bits sine_sign = (q & 2) << 62, cosine_sign = ((q + 1) & 2) << 62;
  return {from_bits<L>(bits(select(odd, c, s)) ^ sine_sign),
          from_bits<L>(bits(select(odd, s, c)) ^ cosine_sign)};
}
/// Whether Cody and Waite's reduction in three parts keeps all digits.
template <int L>
ELBO_INLINE MaskOf<L> moderate(const PackOf<L>& x) {
  return abs(x) < 1e6;
}
template <int L>
ELBO_INLINE SineCosine<L> sincos(const PackOf<L>& x) {
  const PackOf<L> n = nearest(x * (2 / std::numbers::pi));
  const PackOf<L> r =
      ((x - n * (2 * 7.85398125648498535156e-1)) - n * (2 * 3.77489470793079817668e-8)) -
      n * (2 * 2.69515142907905952645e-15);
  return sincos_reduced(n, r);
}
}  // namespace detail

/// The sine and cosine of 2 pi u, 0 <= u <= 1.
template <int L>
ELBO_INLINE void sincos_turns(const PackOf<L>& u, PackOf<L>* sine, PackOf<L>* cosine) {
  const PackOf<L> quadrant = detail::nearest(4.0 * u);
  const auto both =
      detail::sincos_reduced(quadrant, (u - 0.25 * quadrant) * (2 * std::numbers::pi));
  *sine = both.sine;
  *cosine = both.cosine;
}
template <int L>
ELBO_INLINE PackOf<L> sin(const PackOf<L>& x) {
  const PackOf<L> fast = detail::sincos(x).sine;
  const MaskOf<L> plain = detail::moderate(x);
  if (!any(!plain)) return fast;
  return select(plain, fast, lanewise([](double t) { return std::sin(t); }, x));
}
template <int L>
ELBO_INLINE PackOf<L> cos(const PackOf<L>& x) {
  const PackOf<L> fast = detail::sincos(x).cosine;
  const MaskOf<L> plain = detail::moderate(x);
  if (!any(!plain)) return fast;
  return select(plain, fast, lanewise([](double t) { return std::cos(t); }, x));
}
template <int L>
ELBO_INLINE PackOf<L> tan(const PackOf<L>& x) {
  const auto both = detail::sincos(x);
  const PackOf<L> fast = both.sine / both.cosine;
  const MaskOf<L> plain = detail::moderate(x);
  if (!any(!plain)) return fast;
  return select(plain, fast, lanewise([](double t) { return std::tan(t); }, x));
}
/// Reduction to |x| <= tan(pi / 8), then the rational form of Cephes.
template <int L>
ELBO_INLINE PackOf<L> atan(const PackOf<L>& x) {
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
  const PackOf<L> size = abs(x);
  const MaskOf<L> far = size > 2.41421356237309504880, middle = size > 0.66;
  const PackOf<L> t = select(far, -1.0 / size, select(middle, (size - 1.0) / (size + 1.0), size));
  const PackOf<L> z = t * t;
  const PackOf<L> correction = z * detail::polynomial(z, kP) / detail::polynomial(z, kQ);
  const PackOf<L> y = select(far, std::numbers::pi / 2, select(middle, std::numbers::pi / 4, 0.0)) +
                      (t * correction + t + select(far, kRest, select(middle, 0.5 * kRest, 0.0)));
  return select(x < 0.0, -y, y);
}
template <int L>
ELBO_INLINE PackOf<L> erf(const PackOf<L>& x) {
  return lanewise([](double t) { return std::erf(t); }, x);
}
template <int L>
ELBO_INLINE PackOf<L> erfc(const PackOf<L>& x) {
  return lanewise([](double t) { return std::erfc(t); }, x);
}

namespace detail {
/// z = x + 8 and the rising product x (x + 1) ... (x + 7) where x < 8; x and 1 elsewhere.
template <int L>
struct Shifted {
  PackOf<L> z, product, harmonic;  ///< harmonic: the product's logarithmic derivative
};
template <int L>
ELBO_INLINE Shifted<L> shifted(const PackOf<L>& x) {
  PackOf<L> product = x, slope = 1.0;
  for (int k = 1; k < 8; ++k) {
    const PackOf<L> factor = x + static_cast<double>(k);
    slope = slope * factor + product;
    product = product * factor;
  }
  const MaskOf<L> small = x < 8.0;
  return {select(small, x + 8.0, x), select(small, product, 1.0),
          select(small, slope / product, 0.0)};
}
}  // namespace detail

/// log Gamma(x) for x > 0: Stirling's series at x + 8.
template <int L>
ELBO_INLINE PackOf<L> lgamma(const PackOf<L>& x) {
  constexpr double kSeries[] = {43867.0 / 244188, -3617.0 / 122400, 1.0 / 156,
                                -691.0 / 360360,  1.0 / 1188,       -1.0 / 1680,
                                1.0 / 1260,       -1.0 / 360,       1.0 / 12};
  const detail::Shifted s = detail::shifted(x);
  const PackOf<L> w = 1.0 / s.z;
  const PackOf<L> series = w * detail::polynomial(w * w, kSeries);
  const PackOf<L> y = (s.z - 0.5) * log(s.z) - s.z + kHalfLogTwoPi + series - log(s.product);
  return select(x < 1e305, y, x * log(x));
}
/// For x > 0: the asymptotic series at x + 8.
template <int L>
ELBO_INLINE PackOf<L> digamma(const PackOf<L>& x) {
  constexpr double kSeries[] = {-43867.0 / 14364, 3617.0 / 8160, -1.0 / 12,
                                691.0 / 32760,    -1.0 / 132,    1.0 / 240,
                                -1.0 / 252,       1.0 / 120,     -1.0 / 12};
  const detail::Shifted s = detail::shifted(x);
  const PackOf<L> w = 1.0 / s.z;
  return log(s.z) - 0.5 * w + w * w * detail::polynomial(w * w, kSeries) - s.harmonic;
}

}  // namespace elbo::math
