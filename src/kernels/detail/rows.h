// Passes over rows of float32: a number for each row, and numbers for each of its elements.
#pragma once

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <type_traits>
#include <vector>

#include "kernels/detail/halves.h"
#include "kernels/detail/recording.h"
#include "kernels/detail/share.h"
#include "kernels/detail/simd.h"

namespace elbo::detail {

constexpr int64_t kRowGrain = 8192;  // elements

/// A row's arguments, or some columns of them, and where what it makes goes: with kSlopes, its
/// slopes too. The two outputs of a law with kHalves are halves of one tensor where the layer that
/// gave both arguments is one product, which takes it as it is.
struct Row {
  const float* in[3] = {};
  float* out[2] = {};
  float constant = 0;
};

/// An argument as rows, each contiguous; row r of the whole is row r % count of it.
struct Operand {
  at::Tensor owner;
  const float* data = nullptr;
  int64_t count = 1, stride = 0;
  [[nodiscard]] const float* row(int64_t r) const {
    return data + (r < count ? r : r % count) * stride;
  }
};

/// The distance from row to row, where they lie evenly and without gaps in themselves; else -1.
inline int64_t row_stride(const at::Tensor& x) {
  if (x.is_contiguous()) return x.size(-1);
  if (x.stride(-1) != 1) return -1;
  int64_t stride = -1, next = 0;
  for (int64_t d = x.dim() - 2; d >= 0; --d) {
    if (x.size(d) == 1) continue;
    if (stride < 0)
      stride = next = x.stride(d);
    else if (x.stride(d) != next)
      return -1;
    next *= x.size(d);
  }
  return stride;
}

/// Whether the last dimensions of `shape` are `own`.
inline bool ends_with(at::IntArrayRef shape, at::IntArrayRef own) {
  return own.size() <= shape.size() && own.equals(shape.slice(shape.size() - own.size()));
}

inline Operand operand(const at::Tensor& x, at::IntArrayRef shape) {
  // The dimensions in front of x, or of size 1 or repeating in front of the rest of it, only
  // repeat.
  auto own = x;
  while (own.dim() > 1 && (own.size(0) == 1 || own.stride(0) == 0)) own = own.select(0, 0);
  auto rows = ends_with(shape, own.sizes()) ? own : x.expand(shape);
  if (row_stride(rows) < 0) rows = rows.contiguous();
  return {rows, rows.data_ptr<float>(), rows.numel() / shape.back(), row_stride(rows)};
}

/// All rows: what a Row is of one of them.
struct RowArguments {
  std::vector<Operand> in;
  std::array<float*, 2> out = {};
  int64_t columns = 0, out_stride = 0;
  float constant = 0;
};

/// A block of rows, each entry of `sums` from its start; parts of rows down tiles of columns.
template <class Law>
struct RowsKernel {
  static void run(const RowArguments& of, const Block& block, typename Law::Sum* sums) {
    const auto down = [&](int64_t first, auto width) {
      for (int64_t r = block.rows.begin; r < block.rows.end; ++r) {
        Row row{.constant = of.constant};
        for (size_t k = 0; k < of.in.size(); ++k) row.in[k] = of.in[k].row(r) + first;
        for (size_t k = 0; k < 2; ++k)
          if (of.out[k] != nullptr) row.out[k] = of.out[k] + r * of.out_stride + first;
        if (first == block.columns.begin) sums[r] = {};
        Law::run(row, width, sums[r]);
      }
    };
    if (block.columns.size() == of.columns)
      down(0, of.columns);
    else
      for_tiles(block.columns.begin, block.columns.end, down);
  }
};

/// A row's sum where it is a plain one.
inline double total_of(double sum) { return sum; }

/// What the rows gave: the sums, and what was written, of the broadcast shape.
struct Rows {
  at::Tensor sums;
  std::vector<at::Tensor> out;
};

/// `Law<kSlopes>::run(row, columns, sum)` of every row of the broadcast arguments, float32 on the
/// CPU, and `total_of` its sum; several times where threads share out the columns.
template <template <bool> class Law>
Rows evaluate_rows(const std::vector<at::Tensor>& arguments, size_t outputs, bool with_slopes,
                   float constant = 0) {
  std::vector<int64_t> shape;
  for (const auto& a : arguments) shape = at::infer_size(shape, a.sizes());
  const int64_t size = shape.back();
  const auto options = arguments[0].options().requires_grad(false);
  Rows written{at::empty(at::IntArrayRef(shape).slice(0, shape.size() - 1), options),
               std::vector<at::Tensor>(outputs)};
  RowArguments of;
  of.columns = of.out_stride = size;
  of.constant = constant;
  if (outputs == 2 && Law<false>::kHalves && size <= kWidestHalf) {
    auto both = shape;
    of.out_stride = both.back() *= 2;
    std::tie(written.out[0], written.out[1]) = halves(at::empty(both, options));
  } else {
    for (auto& s : written.out) s = at::empty(shape, options);
  }
  if (size == 0 || written.sums.numel() == 0) {
    written.sums.zero_();
    return written;
  }
  for (const auto& a : arguments) of.in.push_back(operand(a, shape));
  for (size_t k = 0; k < outputs; ++k) of.out[k] = written.out[k].template data_ptr<float>();
  using Sum = typename Law<false>::Sum;
  static_assert(std::is_same_v<Sum, typename Law<true>::Sum>);
  using Run = void (*)(const RowArguments&, const Block&, Sum*);
  static const Run value =
      simd::Compiled<RowsKernel<Law<false>>>::template for_machine<const RowArguments&,
                                                                   const Block&, Sum*>();
  static const Run both =
      simd::Compiled<RowsKernel<Law<true>>>::template for_machine<const RowArguments&, const Block&,
                                                                  Sum*>();
  const int64_t rows = written.sums.numel();
  // Where threads share out the columns, each has sums of its own.
  const bool by_rows = is_by_rows(rows, size);
  const int64_t count = by_rows ? rows : team::size() * rows;
  const auto memory = at::empty({count * int64_t{sizeof(Sum)}}, at::kByte);
  recording::run([of, written, memory, rows, by_rows, run = with_slopes ? both : value] {
    auto* sums = static_cast<Sum*>(memory.data_ptr());
    const int64_t blocks = for_blocks(rows, of.columns, kRowGrain, [&](const RowBlock& block) {
      run(of, block, sums + (by_rows ? 0 : block.part * rows));
    });
    auto* to = written.sums.template data_ptr<float>();
    for (int64_t r = 0; r < rows; ++r) {
      double total = 0;
      for (int64_t p = 0; p < (by_rows ? 1 : blocks); ++p) total += total_of(sums[p * rows + r]);
      to[r] = static_cast<float>(total);
    }
  });
  return written;
}

}  // namespace elbo::detail
