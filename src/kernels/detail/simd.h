// Loops over float32 that the compiler vectorises, once for each instruction set.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "elbo/kernels/pack.h"

namespace elbo::simd {

/// `Kernel::run` as compiled for this machine.
template <class Kernel>
struct Compiled {
  template <class... A>
  static auto baseline(A... a) {
    return Kernel::run(a...);
  }
#if defined(ELBO_HAS_AVX2_LOOPS)
  template <class... A>
  ELBO_AVX2 static auto avx2(A... a) {
    return Kernel::run(a...);
  }
  template <class... A>
  ELBO_AVX512 static auto avx512(A... a) {
    return Kernel::run(a...);
  }
#endif
  /// A pointer to it, for arguments of these types.
  template <class... A>
  static auto for_machine() {
#if defined(ELBO_HAS_AVX2_LOOPS)
    if (math::has_avx512()) return &avx512<A...>;
    if (math::has_avx2()) return &avx2<A...>;
#endif
    return &baseline<A...>;
  }
};

/// What the float e^x has in common: n and p with e^x = 2^n p, for |x| < 2^22.
struct Exponential {
  int32_t n;
  float p;
  ELBO_INLINE explicit Exponential(float x) {
    constexpr float kShift = 0x1.8p23F;  // adding it rounds to a whole number
    const float shifted = x * 0x1.715476p0F + kShift;
    const float whole = shifted - kShift;
    const float r = (x - whole * 0x1.62e4p-1F) - whole * 0x1.7f7d1cp-20F;
    // Taylor's terms, the last adjusted for |r| <= log(2) / 2
    p = r * 1.9875691500e-4F + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * r * r + r + 1.0F;
    n = std::bit_cast<int32_t>(shifted) - 0x4b400000;
  }
};

/// e^x to 2 units in the last place; 0 below -87.3, inf above 88.7.
ELBO_INLINE float exp(float x) {
  const float above = x < -87.3F ? -87.3F : x;
  const Exponential e(above > 88.8F ? 88.8F : above);
  // 2^n in two steps, since 2^128 has no float.
  const int32_t half = e.n >> 1;
  const float y = e.p * std::bit_cast<float>((half + 127) << 23) *
                  std::bit_cast<float>((e.n - half + 127) << 23);
  return x < -87.3F ? 0.0F : y;
}

/// e^-|x|, but 1.2e-38 where that is less, and for NaN. Bounded by its bits: of a float's `?:` the
/// compiler would carry both sides through all that follows.
ELBO_INLINE float exp_minus_abs(float x) {
  constexpr auto kLargest = std::bit_cast<uint32_t>(87.3F);
  const uint32_t magnitude = std::bit_cast<uint32_t>(x) & 0x7fffffffU;
  const Exponential e(-std::bit_cast<float>(magnitude < kLargest ? magnitude : kLargest));
  return e.p * std::bit_cast<float>((e.n + 127) << 23);
}

/// tanh(x) to 3 units in the last place.
ELBO_INLINE float tanh(float x) {
  const float e = exp_minus_abs(x + x), far = (1.0F - e) / (1.0F + e);
  // x + x^3 P(x^2), of the least relative error (3.7e-8) below 0.55
  const float square = x * x;
  float p = square * 1.6437396e-2F - 5.2671697e-2F;
  p = p * square + 1.3320723e-1F;
  p = p * square - 3.3332947e-1F;
  return std::abs(x) >= 0.55F ? std::copysign(far, x) : x + x * square * p;  // NaN stays NaN
}

/// The bits of the nearest bfloat16, of two as near the even one; NaN stays NaN.
ELBO_INLINE uint16_t upper_half(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? 0x7fc0U : rounded);
}

}  // namespace elbo::simd
