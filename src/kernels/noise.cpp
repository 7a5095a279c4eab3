#include "elbo/kernels/noise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <Random123/philox.h>

#include <cmath>
#include <numbers>

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

template <class Fill>
at::Tensor Noise::fill(at::IntArrayRef shape, const at::TensorOptions& options, int per_block,
                       const Fill& block_of) const {
  auto out = at::empty(shape, at::TensorOptions(options).device(at::kCPU).requires_grad(false));
  const int64_t rows = rows_.defined() ? rows_.numel() : 1;
  const int64_t groups = num_particles_ * rows;
  if (groups == 0 || out.numel() % groups != 0)
    throw ShapeError("Noise: a tensor of " + std::to_string(out.numel()) +
                     " elements does not divide into " + std::to_string(num_particles_) +
                     " particles of " + std::to_string(rows) + " rows");
  const int64_t event = out.numel() / groups;
  const int64_t* row_ids = rows_.defined() ? rows_.data_ptr<int64_t>() : nullptr;
  const Philox::key_type key = {{static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32)}};
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "Noise", [&] {
    scalar_t* data = out.data_ptr<scalar_t>();
    const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, event));
    at::parallel_for(0, groups, grain, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        const uint64_t row = row_ids ? static_cast<uint64_t>(row_ids[g % rows]) : 0;
        const uint64_t particle = static_cast<uint64_t>(first_particle_ + g / rows);
        // 32 bits of step, 40 of row, 24 of particle, 32 of element block.
        const auto high = static_cast<uint32_t>((row >> 32) << 24 | (particle & 0xffffff));
        for (int64_t e = 0; e < event; e += per_block) {
          const Philox::ctr_type counter = {{static_cast<uint32_t>(e / per_block),
                                             static_cast<uint32_t>(row),
                                             static_cast<uint32_t>(step_), high}};
          const auto words = Philox()(counter, key);
          scalar_t block[4];
          block_of(words, block);
          const int64_t n = std::min<int64_t>(per_block, event - e);
          for (int64_t k = 0; k < n; ++k) data[g * event + e + k] = block[k];
        }
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
