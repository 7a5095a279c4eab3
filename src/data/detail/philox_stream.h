// A stream of random integers that is a pure function of (seed, domain, index).
#pragma once

#include <Random123/philox.h>

#include <cstdint>

namespace elbo::data::detail {

/// What a stream is for: streams of different domains never share a counter.
enum class Domain : uint32_t { kDigitLabels = 1, kDigitStrokes = 2, kEpochOrder = 3 };

/// Philox4x32-10 keyed by the seed; the counter holds the block, the index and the domain.
/// **RNG** `next()` takes 32 bits in order; a stream is good for 2^34 of them.
class PhiloxStream {
 public:
  PhiloxStream(uint64_t seed, Domain domain, uint64_t index) {
    key_.v[0] = static_cast<uint32_t>(seed);
    key_.v[1] = static_cast<uint32_t>(seed >> 32);
    counter_.v[0] = 0;
    counter_.v[1] = static_cast<uint32_t>(index);
    counter_.v[2] = static_cast<uint32_t>(index >> 32);
    counter_.v[3] = static_cast<uint32_t>(domain);
  }

  uint32_t next() {
    if (used_ == 4) {
      block_ = r123::Philox4x32()(counter_, key_);
      ++counter_.v[0];
      used_ = 0;
    }
    return block_.v[used_++];
  }

  uint64_t next64() {
    const uint64_t low = next();
    return (static_cast<uint64_t>(next()) << 32) | low;
  }

  /// Uniform on (0, 1), never an end point.
  double uniform() { return (next() + 0.5) * 0x1p-32; }

  /// Uniform on (low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// Mean 0, variance 1, bell-shaped and bounded by 2 sqrt(3): a sum of four uniforms, so that no
  /// outlier draws a stroke off the page and no library function differs between platforms.
  double bell() {
    double sum = uniform();
    for (int i = 0; i < 3; ++i) sum += uniform();
    return (sum - 2.0) * 1.7320508075688772;
  }

  /// Uniform on 0 … bound - 1 without bias (draws that fall in the incomplete last cycle are
  /// rejected). bound must be at least 1.
  uint64_t below(uint64_t bound) {
    const uint64_t partial = (UINT64_MAX % bound + 1) % bound;  // 2^64 mod bound
    uint64_t draw = next64();
    while (draw > UINT64_MAX - partial) draw = next64();
    return draw % bound;
  }

 private:
  r123::Philox4x32::key_type key_;
  r123::Philox4x32::ctr_type counter_;
  r123::Philox4x32::ctr_type block_{};
  unsigned used_ = 4;
};

}  // namespace elbo::data::detail
