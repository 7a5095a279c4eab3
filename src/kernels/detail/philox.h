// Philox of many counters at once (Salmon et al. 2011), as Random123 gives it for each by itself.
#pragma once

#include <Random123/philox.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "elbo/kernels/pack.h"
#if defined(ELBO_HAS_AVX2_LOOPS)
#include <immintrin.h>
#endif

namespace elbo::philox {

using math::LanesOf;
using math::Pack;
using math::WidePack;
using Generator = r123::Philox4x32_R<10>;
using Counter = std::array<uint32_t, 4>;

/// A word of each of some counters' output, a 64-bit lane each.
template <int L>
using Words = std::array<typename LanesOf<L>::Bits, 4>;

/// A counter and those of the blocks after it, in place of an array of them.
struct Run {
  Counter first;
  ELBO_INLINE friend Run operator+(Run run, int blocks) {
    run.first[0] += static_cast<uint32_t>(blocks);
    return run;
  }
};

/// Philox of four counters on any machine.
struct Plain {
  using P = Pack;
  ELBO_INLINE static void generate(const Counter* counters, uint64_t key, Words<P::kLanes>& out) {
    const Generator::key_type words = {
        {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)}};
    for (int lane = 0; lane < P::kLanes; ++lane) {
      const Counter& c = counters[lane];
      const auto made = Generator()(Generator::ctr_type{{c[0], c[1], c[2], c[3]}}, words);
      for (size_t w = 0; w < 4; ++w) out[w][lane] = made[w];
    }
  }
  ELBO_INLINE static void generate(const Run& run, uint64_t key, Words<P::kLanes>& out) {
    Counter counters[P::kLanes];
    for (int lane = 0; lane < P::kLanes; ++lane) counters[lane] = (run + lane).first;
    generate(counters, key, out);
  }
};

#if defined(ELBO_HAS_AVX2_LOOPS)
#define ELBO_AVX2_PIECE __attribute__((target("avx2,fma,bmi2")))

/// The ten rounds, on a vector of 64-bit lanes for each word.
template <class Machine>
ELBO_INLINE void rounds(typename Machine::Lanes (&c)[4], uint64_t key) {
  constexpr uint64_t kLow = 0xffffffff;
  auto k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    typename Machine::Lanes p0, p1;
    Machine::product(c[0], 0xD2511F53, &p0);
    Machine::product(c[2], 0xCD9E8D57, &p1);
    c[0] = (p1 >> 32) ^ c[1] ^ k0;
    c[2] = (p0 >> 32) ^ c[3] ^ k1;
    c[1] = p1 & kLow;
    c[3] = p0 & kLow;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

/// The same numbers as Plain, four counters at once.
struct Avx2 {
  using P = Pack;
  typedef uint64_t Lanes __attribute__((vector_size(32)));

  ELBO_AVX2_PIECE static void generate(const Counter* counters, uint64_t key, Words<4>& out) {
    Lanes c[4];
    transpose(counters, c);
    rounds<Avx2>(c, key);
    std::memcpy(out.data(), c, sizeof c);
  }
  ELBO_AVX2_PIECE static void generate(const Run& run, uint64_t key, Words<4>& out) {
    const auto& [block, row, step, rest] = run.first;
    Lanes c[4] = {block + Lanes{0, 1, 2, 3}, row + Lanes{}, step + Lanes{}, rest + Lanes{}};
    rounds<Avx2>(c, key);
    std::memcpy(out.data(), c, sizeof c);
  }
  /// Four counters of four words, a vector for each word.
  ELBO_AVX2_PIECE static void transpose(const Counter* counters, Lanes (&c)[4]) {
    __m128i row[4];
    std::memcpy(row, counters, sizeof row);
    const __m128i even[2] = {_mm_unpacklo_epi32(row[0], row[1]),
                             _mm_unpacklo_epi32(row[2], row[3])};
    const __m128i odd[2] = {_mm_unpackhi_epi32(row[0], row[1]), _mm_unpackhi_epi32(row[2], row[3])};
    c[0] = (Lanes)_mm256_cvtepu32_epi64(_mm_unpacklo_epi64(even[0], even[1]));
    c[1] = (Lanes)_mm256_cvtepu32_epi64(_mm_unpackhi_epi64(even[0], even[1]));
    c[2] = (Lanes)_mm256_cvtepu32_epi64(_mm_unpacklo_epi64(odd[0], odd[1]));
    c[3] = (Lanes)_mm256_cvtepu32_epi64(_mm_unpackhi_epi64(odd[0], odd[1]));
  }
  ELBO_AVX2_PIECE static void product(const Lanes& a, uint32_t b, Lanes* out) {
    *out = (Lanes)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
  }
};

/// Eight counters at once.
struct Avx512 {
  using P = WidePack;
  typedef uint64_t Lanes __attribute__((vector_size(64)));

  ELBO_AVX512_PIECE static void generate(const Counter* counters, uint64_t key, Words<8>& out) {
    Avx2::Lanes low[4], high[4];
    Avx2::transpose(counters, low);
    Avx2::transpose(counters + 4, high);
    Lanes c[4];
    for (int w = 0; w < 4; ++w)
      c[w] = __builtin_shufflevector(low[w], high[w], 0, 1, 2, 3, 4, 5, 6, 7);
    rounds<Avx512>(c, key);
    std::memcpy(out.data(), c, sizeof c);
  }
  ELBO_AVX512_PIECE static void generate(const Run& run, uint64_t key, Words<8>& out) {
    const auto& [block, row, step, rest] = run.first;
    Lanes c[4] = {block + Lanes{0, 1, 2, 3, 4, 5, 6, 7}, row + Lanes{}, step + Lanes{},
                  rest + Lanes{}};
    rounds<Avx512>(c, key);
    std::memcpy(out.data(), c, sizeof c);
  }
  /// Of the low halves. (Masked, since GCC 12 warns of what the plain form leaves undefined.)
  ELBO_AVX512_PIECE static void product(const Lanes& a, uint32_t b, Lanes* out) {
    *out = (Lanes)_mm512_maskz_mul_epu32(0xff, (__m512i)a, _mm512_set1_epi64(b));
  }
};
#endif

}  // namespace elbo::philox
