// Keyed noise: every random number is a pure function of where it is used.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "elbo/kernels/math_scalar.h"

namespace elbo {

struct Formula;

/// A counter-based random stream (Philox 4x32-10). The key is hash(seed, site); the counter holds
/// step, row, particle and the element within the event. The numbers therefore do not depend on
/// threads, on how a batch is split, or on whether a run was resumed. They are drawn in float64
/// and rounded, so float32 and float64 runs see the same noise.
///
/// **Shapes** A tensor of P particles, R rows and events of E elements is filled as [P, R, E]
/// (contiguous). R is the number of rows given to `rows()`; without rows everything is one event.
class Noise {
 public:
  explicit Noise(uint64_t seed, uint64_t step = 0);

  /// The stream of a named site; names nest.
  [[nodiscard]] Noise site(std::string_view name) const;
  [[nodiscard]] Noise step(uint64_t step) const;
  [[nodiscard]] uint64_t step() const { return step_; }
  /// Of seed and sites.
  [[nodiscard]] uint64_t key() const { return key_; }
  /// Elements belong to these rows of the data set: int64 [R].
  [[nodiscard]] Noise rows(at::Tensor rows) const;
  /// Rows 0 .. count-1: draws that belong to no data set.
  [[nodiscard]] Noise draws(int64_t count, int64_t first = 0) const;
  /// The tensors filled have `count` particles as their leading dimension.
  [[nodiscard]] Noise particles(int64_t count, int64_t first = 0) const;

  /// Uniform on the open interval (0, 1).
  [[nodiscard]] at::Tensor uniform(at::IntArrayRef shape, const at::TensorOptions& options) const;
  /// Standard normal.
  [[nodiscard]] at::Tensor normal(at::IntArrayRef shape, const at::TensorOptions& options) const;
  /// 1 with the probability given, else 0, in the dtype of `probs`.
  [[nodiscard]] at::Tensor bernoulli(const at::Tensor& probs) const;
  /// The same draws in the place of `probs`. **Throws** ShapeError unless contiguous, on the CPU.
  void bernoulli_in_place(const at::Tensor& probs) const;

  using Counter = std::array<uint32_t, 4>;  ///< of Philox
  /// As many numbers as an element may need: what a rejection sampler draws from. V is double, or
  /// math::Pack for four elements side by side, each of which gets the numbers it would get alone.
  template <class V>
  class Stream;
  /// Draws one element of a law, given its parameters there; or four.
  using Sampler = double (*)(Stream<double>& stream, const double* parameters);
  using PackSampler = void (*)(Stream<math::Pack>& stream, const math::Pack* parameters,
                               math::Pack* out);
  /// `sampler` at every element of `shape`, to which the one to four parameters broadcast; in
  /// their dtype, without gradient.
  [[nodiscard]] at::Tensor draw(Sampler sampler, at::IntArrayRef shape,
                                at::TensorList parameters) const;
  [[nodiscard]] at::Tensor draw(PackSampler sampler, at::IntArrayRef shape,
                                at::TensorList parameters) const;
  /// The same for a formula of (number, parameters...), at the numbers that `uniform` or `normal`
  /// of this shape are in float64.
  enum class Numbers { kUniform, kNormal };
  [[nodiscard]] at::Tensor draw(const Formula& formula, Numbers numbers, at::IntArrayRef shape,
                                at::TensorList parameters) const;

 private:
  struct Layout {
    int64_t rows = 1, groups = 1, event = 0;
    const int64_t* row_ids = nullptr;
  };
  [[nodiscard]] Layout layout_of(const at::Tensor& out) const;
  [[nodiscard]] Counter counter(const Layout& layout, int64_t group, int64_t block) const;
  /// sink(first, count, numbers) for every stretch of a tensor of this layout, on all threads.
  template <class Tile, class Sink>
  void for_each_block(const Layout& layout, const Sink& sink) const;
  /// Runs `kernel(noise)`, which writes numbers, and adds it to a plan that is being recorded.
  template <class Kernel>
  void run(const Kernel& kernel) const;
  template <class Tile>
  [[nodiscard]] at::Tensor fill(at::IntArrayRef shape, const at::TensorOptions& options) const;
  template <class Tile>
  [[nodiscard]] at::Tensor fill(const Formula& formula, at::IntArrayRef shape,
                                at::TensorList parameters) const;
  template <class V, class Element>
  [[nodiscard]] at::Tensor draw_with(at::IntArrayRef shape, at::TensorList parameters,
                                     const Element& element) const;

  uint64_t key_;
  uint64_t step_;
  at::Tensor rows_;
  int64_t first_particle_ = 0;
  int64_t num_particles_ = 1;
};

template <class V>
class Noise::Stream {
 public:
  static constexpr int kLanes = sizeof(V) / sizeof(double);

  Stream(uint64_t key, const std::array<Counter, kLanes>& counters)
      : key_(key), counters_(counters) {}

  /// On (0, 1).
  ELBO_INLINE V uniform() {
    if (used_ == kTogether) refill();
    return uniforms_[used_++];
  }
  /// N(0, 1), by Box and Muller.
  ELBO_INLINE V normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const V radius = math::sqrt(-2.0 * math::log(uniform()));
    V sine, cosine;
    math::sincos_turns(uniform(), &sine, &cosine);
    spare_ = radius * sine;
    has_spare_ = true;
    return radius * cosine;
  }
  /// Another stream of the same elements, for every index. What follows a rejection loop draws from
  /// one: in a pack the loop goes on until its last element is done.
  [[nodiscard]] Stream split(uint64_t index) const;

 private:
  static constexpr size_t kTogether = 2;
  void refill();

  uint64_t key_;
  uint64_t attempt_ = 0;
  std::array<Counter, kLanes> counters_;
  std::array<V, kTogether> uniforms_{};
  size_t used_ = kTogether;
  V spare_ = 0.0;
  bool has_spare_ = false;
};

/// The sampler of a struct with a template `V sample(Stream<V>&, const V* parameters)`, compiled
/// for the baseline and for AVX2; the machine chooses.
template <class Law>
Noise::PackSampler pack_sampler() {
  using Stream = Noise::Stream<math::Pack>;
#if defined(ELBO_HAS_AVX2_LOOPS)
  struct Fast {
    ELBO_AVX2 static void sample(Stream& stream, const math::Pack* parameters, math::Pack* out) {
      *out = Law::sample(stream, parameters);
    }
  };
  if (math::has_avx2()) return Fast::sample;
#endif
  return [](Stream& stream, const math::Pack* parameters, math::Pack* out) {
    *out = Law::sample(stream, parameters);
  };
}

}  // namespace elbo
