#include "elbo/kernels/noise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <Random123/philox.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "elbo/error.h"

namespace elbo {
namespace {

uint64_t mix(uint64_t h) {  // the finaliser of SplitMix64
  h += 0x9e3779b97f4a7c15ull;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
  return h ^ (h >> 31);
}

using Philox = r123::Philox4x32_R<10>;
constexpr int64_t kTogether = 4;  // counters that differ in their first word only

#if defined(__x86_64__)
/// Philox of four counters at once, a 64-bit lane for each word; the same numbers as one by one.
__attribute__((target("avx2"))) void philox_avx2(const std::array<uint32_t, 4>& counter,
                                                 Philox::key_type key, Philox::ctr_type* out) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
  __m256i c0 = _mm256_and_si256(
      _mm256_add_epi64(_mm256_set1_epi64x(counter[0]), _mm256_set_epi64x(3, 2, 1, 0)), low);
  __m256i c1 = _mm256_set1_epi64x(counter[1]);
  __m256i c2 = _mm256_set1_epi64x(counter[2]);
  __m256i c3 = _mm256_set1_epi64x(counter[3]);
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const __m256i p0 = _mm256_mul_epu32(m0, c0), p1 = _mm256_mul_epu32(m1, c2);
    c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1), _mm256_set1_epi64x(k0));
    c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3), _mm256_set1_epi64x(k1));
    c1 = _mm256_and_si256(p1, low);
    c3 = _mm256_and_si256(p0, low);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  alignas(32) uint64_t words[4][4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(words[0]), c0);
  _mm256_store_si256(reinterpret_cast<__m256i*>(words[1]), c1);
  _mm256_store_si256(reinterpret_cast<__m256i*>(words[2]), c2);
  _mm256_store_si256(reinterpret_cast<__m256i*>(words[3]), c3);
  for (size_t lane = 0; lane < 4; ++lane)
    for (size_t w = 0; w < 4; ++w) out[lane][w] = static_cast<uint32_t>(words[w][lane]);
}
const bool kHasAvx2 = __builtin_cpu_supports("avx2");
#else
constexpr bool kHasAvx2 = false;
void philox_avx2(const std::array<uint32_t, 4>&, Philox::key_type, Philox::ctr_type*) {}
#endif

/// The words of `count` <= kTogether counters that follow one another in their first word.
void philox(const std::array<uint32_t, 4>& counter, Philox::key_type key, int64_t count,
            Philox::ctr_type* out) {
  if (kHasAvx2 && count == kTogether) return philox_avx2(counter, key, out);
  for (int64_t i = 0; i < count; ++i)
    out[i] = Philox()(Philox::ctr_type{{counter[0] + static_cast<uint32_t>(i), counter[1],
                                        counter[2], counter[3]}},
                      key);
}

/// Two words to (0, 1) with 53 bits; the half keeps both ends out.
double unit(uint32_t high, uint32_t low) {
  const uint64_t bits = (static_cast<uint64_t>(high) << 32 | low) >> 11;
  return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

}  // namespace

Noise::Noise(uint64_t seed, uint64_t step) : key_(mix(seed)), step_(step) {}

Noise Noise::site(std::string_view name) const {
  uint64_t h = 0xcbf29ce484222325ull;  // FNV-1a
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  Noise out = *this;
  out.key_ = mix(key_ ^ mix(h));
  return out;
}

Noise Noise::step(uint64_t step) const {
  Noise out = *this;
  out.step_ = step;
  return out;
}

Noise Noise::rows(at::Tensor rows) const {
  if (rows.dim() != 1 || rows.scalar_type() != at::kLong)
    throw ShapeError("Noise::rows: expected int64 [R]");
  Noise out = *this;
  out.rows_ = rows.to(at::kCPU).contiguous();
  return out;
}

Noise Noise::draws(int64_t count, int64_t first) const {
  return rows(at::arange(first, first + count, at::kLong));
}

Noise Noise::particles(int64_t count, int64_t first) const {
  Noise out = *this;
  out.num_particles_ = count;
  out.first_particle_ = first;
  return out;
}

Noise::Layout Noise::layout_of(const at::Tensor& out) const {
  Layout layout;
  layout.rows = rows_.defined() ? rows_.numel() : 1;
  layout.groups = num_particles_ * layout.rows;
  if (layout.groups == 0 || out.numel() % layout.groups != 0)
    throw ShapeError("Noise: a tensor of " + std::to_string(out.numel()) +
                     " elements does not divide into " + std::to_string(num_particles_) +
                     " particles of " + std::to_string(layout.rows) + " rows");
  layout.event = out.numel() / layout.groups;
  layout.row_ids = rows_.defined() ? rows_.data_ptr<int64_t>() : nullptr;
  return layout;
}

std::array<uint32_t, 4> Noise::counter(const Layout& layout, int64_t group, int64_t block) const {
  const uint64_t row =
      layout.row_ids ? static_cast<uint64_t>(layout.row_ids[group % layout.rows]) : 0;
  const auto particle = static_cast<uint64_t>(first_particle_ + group / layout.rows);
  // 32 bits of step, 40 of row, 24 of particle, 32 of element block.
  return {static_cast<uint32_t>(block), static_cast<uint32_t>(row), static_cast<uint32_t>(step_),
          static_cast<uint32_t>((row >> 32) << 24 | (particle & 0xffffff))};
}

template <class Fill>
at::Tensor Noise::fill(at::IntArrayRef shape, const at::TensorOptions& options, int per_block,
                       const Fill& block_of) const {
  auto out = at::empty(shape, at::TensorOptions(options).device(at::kCPU).requires_grad(false));
  const Layout layout = layout_of(out);
  const int64_t event = layout.event;
  const Philox::key_type key = {{static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)}};
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "Noise", [&] {
    scalar_t* data = out.data_ptr<scalar_t>();
    // Blocks, not rows, are divided among the threads: one event may be all there is.
    const int64_t blocks = (event + per_block - 1) / per_block;
    at::parallel_for(0, layout.groups * blocks, 4096, [&](int64_t begin, int64_t end) {
      int64_t group = begin / blocks, block = begin % blocks;
      for (int64_t i = begin; i < end;) {
        const int64_t count = std::min({kTogether, end - i, blocks - block});
        Philox::ctr_type words[kTogether];
        philox(counter(layout, group, block), key, count, words);
        for (int64_t b = 0; b < count; ++b) {
          scalar_t made[4];
          block_of(words[b], made);
          const int64_t first = (block + b) * per_block;
          const int64_t n = std::min<int64_t>(per_block, event - first);
          for (int64_t k = 0; k < n; ++k) data[group * event + first + k] = made[k];
        }
        i += count;
        block += count;
        if (block == blocks) {
          block = 0;
          ++group;
        }
      }
    });
  });
  return options.device().is_cpu() ? out : out.to(options.device());
}

Noise::Stream::Stream(uint64_t key, std::array<uint32_t, 4> counter)
    : key_(key), counter_(counter) {}

void Noise::Stream::refill() {
  const uint64_t k = mix(key_ + ++attempt_);
  const Philox::key_type key = {{static_cast<uint32_t>(k), static_cast<uint32_t>(k >> 32)}};
  const auto words =
      Philox()(Philox::ctr_type{{counter_[0], counter_[1], counter_[2], counter_[3]}}, key);
  for (size_t i = 0; i < 4; ++i) words_[i] = words[i];
  used_ = 0;
}

double Noise::Stream::uniform() {
  if (used_ == 4) refill();
  used_ += 2;
  return unit(words_[used_ - 2], words_[used_ - 1]);
}

double Noise::Stream::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2 * std::log(uniform()));
  const double angle = 2 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

at::Tensor Noise::draw(Sampler sampler, at::IntArrayRef shape, at::TensorList parameters) const {
  const auto& options = parameters[0].options();
  auto out = at::empty(shape, at::TensorOptions(options).device(at::kCPU).requires_grad(false));
  const Layout layout = layout_of(out);
  std::vector<at::Tensor> held;
  for (const auto& p : parameters) {
    const auto cpu = p.detach().to(at::kCPU);
    held.push_back(cpu.numel() == 1 ? cpu.reshape({1}) : cpu.expand(shape).contiguous());
  }
  constexpr size_t kMaxParameters = 4;
  if (held.size() > kMaxParameters) throw ShapeError("Noise::draw: at most 4 parameters");
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "Noise::draw", [&] {
    scalar_t* data = out.data_ptr<scalar_t>();
    at::parallel_for(0, out.numel(), 1024, [&](int64_t begin, int64_t end) {
      double values[kMaxParameters] = {};
      for (int64_t i = begin; i < end; ++i) {
        for (size_t k = 0; k < held.size(); ++k)
          values[k] =
              static_cast<double>(held[k].data_ptr<scalar_t>()[held[k].numel() == 1 ? 0 : i]);
        Stream stream(key_, counter(layout, i / layout.event, i % layout.event));
        data[i] = static_cast<scalar_t>(sampler(stream, values));
      }
    });
  });
  return options.device().is_cpu() ? out : out.to(options.device());
}

at::Tensor Noise::uniform(at::IntArrayRef shape, const at::TensorOptions& options) const {
  return fill(shape, options, 2, [](const auto& w, auto* out) {
    using T = std::remove_reference_t<decltype(out[0])>;
    // Rounding to float32 may reach 1: stay below it.
    const T last = std::nextafter(T(1), T(0));
    out[0] = std::min(static_cast<T>(unit(w[0], w[1])), last);
    out[1] = std::min(static_cast<T>(unit(w[2], w[3])), last);
  });
}

at::Tensor Noise::normal(at::IntArrayRef shape, const at::TensorOptions& options) const {
  return fill(shape, options, 2, [](const auto& w, auto* out) {
    using T = std::remove_reference_t<decltype(out[0])>;
    const double radius = std::sqrt(-2 * std::log(unit(w[0], w[1])));
    const double angle = 2 * std::numbers::pi * unit(w[2], w[3]);
    out[0] = static_cast<T>(radius * std::cos(angle));  // Box and Muller
    out[1] = static_cast<T>(radius * std::sin(angle));
  });
}

at::Tensor Noise::bernoulli(const at::Tensor& probs) const {
  // 32 bits decide: the probability is off by at most 2^-33.
  const auto u = fill(probs.sizes(), probs.options(), 4, [](const auto& w, auto* out) {
    using T = std::remove_reference_t<decltype(out[0])>;
    const T last = std::nextafter(T(1), T(0));
    for (int k = 0; k < 4; ++k)
      out[k] = std::min(static_cast<T>((static_cast<double>(w[k]) + 0.5) * 0x1p-32), last);
  });
  return (u < probs).to(probs.scalar_type());
}

}  // namespace elbo
