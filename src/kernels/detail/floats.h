// Eight floats at a time, for passes over float32 data that need no more than its digits.
#pragma once

#include <cstdint>
#include <cstring>

#include "elbo/kernels/pack.h"

namespace elbo::floats {

constexpr int64_t kLanes = 8;
typedef float Lanes __attribute__((vector_size(32)));
typedef int32_t Bits __attribute__((vector_size(32)));

ELBO_INLINE void load(const float* from, Lanes* to) { std::memcpy(to, from, sizeof *to); }
ELBO_INLINE void store(const Lanes& from, float* to) { std::memcpy(to, &from, sizeof from); }
/// `count` < 8 numbers, then `rest`.
ELBO_INLINE void load_part(const float* from, int64_t count, float rest, Lanes* to) {
  float padded[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) padded[i] = i < count ? from[i] : rest;
  load(padded, to);
}

ELBO_INLINE void abs(const Lanes& x, Lanes* to) {
  const Bits magnitude = reinterpret_cast<const Bits&>(x) & 0x7fffffff;
  *to = reinterpret_cast<const Lanes&>(magnitude);
}

/// e^x to 2 units in the last place; 0 below -87, inf above 88.7.
ELBO_INLINE void exp(const Lanes& x, Lanes* to) {
  constexpr float kShift = 0x1.8p23F;  // adding it rounds to a whole number
  const Lanes held = x < -87.3F ? Lanes{} - 87.3F : (x > 88.8F ? Lanes{} + 88.8F : x);
  const Lanes shifted = held * 0x1.715476p0F + kShift;
  const Lanes n = shifted - kShift;
  const Lanes r = (held - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F;
  // Taylor's terms, the last adjusted for |r| <= log(2) / 2
  Lanes p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  // 2^n in two steps, since 2^128 has no float.
  const Bits whole = reinterpret_cast<const Bits&>(shifted) - 0x4b400000;
  const Bits half = whole >> 1;
  const Bits first = (half + 127) << 23, second = (whole - half + 127) << 23;
  const Lanes y =
      p * reinterpret_cast<const Lanes&>(first) * reinterpret_cast<const Lanes&>(second);
  *to = x < -87.3F ? Lanes{} : y;
}

}  // namespace elbo::floats
