// Keyed noise: every random number is a pure function of where it is used.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace elbo {

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

  /// As many numbers as one element may need: what a rejection sampler draws from.
  class Stream {
   public:
    Stream(uint64_t key, std::array<uint32_t, 4> counter);
    double uniform();  ///< on (0, 1)
    double normal();   ///< N(0, 1)

   private:
    void refill();

    uint64_t key_;
    uint64_t attempt_ = 0;
    std::array<uint32_t, 4> counter_, words_{};
    size_t used_ = 4;
    double spare_ = 0;
    bool has_spare_ = false;
  };
  /// Draws one element of a law, given its parameters there.
  using Sampler = double (*)(Stream& stream, const double* parameters);
  /// `sampler` at every element of `shape`, to which the one to four parameters broadcast; in
  /// their dtype, without gradient.
  [[nodiscard]] at::Tensor draw(Sampler sampler, at::IntArrayRef shape,
                                at::TensorList parameters) const;

 private:
  struct Layout {
    int64_t rows = 1, groups = 1, event = 0;
    const int64_t* row_ids = nullptr;
  };
  [[nodiscard]] Layout layout_of(const at::Tensor& out) const;
  [[nodiscard]] std::array<uint32_t, 4> counter(const Layout& layout, int64_t group,
                                                int64_t block) const;
  template <class Fill>
  at::Tensor fill(at::IntArrayRef shape, const at::TensorOptions& options, int per_block,
                  const Fill& block_of) const;

  uint64_t key_;
  uint64_t step_;
  at::Tensor rows_;
  int64_t first_particle_ = 0;
  int64_t num_particles_ = 1;
};

}  // namespace elbo
