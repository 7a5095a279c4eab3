// Which thread works on which rows or columns. Every pass over a matrix, the products that make it
// and the optimiser's pass over the weights share them out alike, so that a thread finds what it
// needs where it left it: a cache line that another core has written can cost some 200 ns. Where
// the cores have a cache in common it costs little, and products of few data are oneDNN's to share
// out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/detail/team.h"

namespace elbo::detail {

/// Whether all processors that this process may use have a third cache in common.
[[nodiscard]] bool has_common_cache();
/// While it lives, that is taken to be so or not: for tests of both.
class AssumedCommonCache {
 public:
  explicit AssumedCommonCache(bool has);
  AssumedCommonCache(const AssumedCommonCache&) = delete;
  AssumedCommonCache& operator=(const AssumedCommonCache&) = delete;
  ~AssumedCommonCache();

 private:
  bool before_;
};

/// Elements worth a thread, of a pass that little more than moves memory.
constexpr int64_t kPassGrain = 1 << 14;

/// Columns of a matrix [rows, columns], or rows of a weight matrix [columns, inputs].
struct Share {
  int64_t begin = 0, end = 0;
  [[nodiscard]] int64_t size() const { return end - begin; }
};

/// What is the `part`-th of `parts` threads' own: whole cache lines, where there are enough.
[[nodiscard]] inline Share share_of(int64_t columns, int64_t part, int64_t parts) {
  constexpr int64_t kLine = 16;
  const int64_t unit = columns >= 4 * kLine * parts ? kLine : 1;
  const int64_t each = (columns + unit * parts - 1) / (unit * parts) * unit;
  const int64_t begin = std::min(part * each, columns);
  return {begin, std::min(begin + each, columns)};
}

/// Columns to go down the rows of, one tile after another, where threads share out columns: along
/// the rows, the processor would fetch ahead what lies beyond a thread's columns and so take it
/// from the thread that writes it (100 rows of 784, halved: 32 us and not 10).
constexpr int64_t kTile = 64;
/// A tile's width, known to the compiler.
using Whole = std::integral_constant<int64_t, kTile>;

/// f(first, width) for each tile of columns [begin, end), the width a Whole but for the last.
template <class F>
void for_tiles(int64_t begin, int64_t end, const F& f) {
  for (; begin + kTile <= end; begin += kTile) f(begin, Whole());
  if (begin < end) f(begin, end - begin);
}

/// A part of a matrix.
struct Block {
  Share rows, columns;
};
/// f(row, first, width) for the rows of each tile of its columns.
template <class F>
void for_rows(const Block& block, const F& f) {
  for_tiles(block.columns.begin, block.columns.end, [&](int64_t first, auto width) {
    for (int64_t r = block.rows.begin; r < block.rows.end; ++r) f(r, first, width);
  });
}

/// Whether threads share out the rows of an activation, one for each datum, rather than its
/// columns: the weights, which threads share out by the columns that they make, are then the lesser
/// part, or within reach of all threads. Along whole rows a pass is quicker than down tiles.
[[nodiscard]] inline bool is_by_rows(int64_t rows, int64_t columns) {
  constexpr int64_t kEnough = 32;  // for each thread to have some
  return rows >= columns || (rows >= kEnough && has_common_cache());
}

/// A thread's part of an activation.
struct RowBlock : Block {
  int64_t part = 0;
};

/// f(block) for each part of an activation [rows, columns]. Returns how many there were.
template <class F>
int64_t for_blocks(int64_t rows, int64_t columns, int64_t grain, const F& f) {
  const int64_t parts = parts_for(rows * columns, grain);
  const bool by_rows = is_by_rows(rows, columns);
  for_parts(parts, [&](int64_t part) {
    if (by_rows)
      f(RowBlock{{share_of(rows, part, parts), {0, columns}}, part});
    else
      f(RowBlock{{{0, rows}, share_of(columns, part, parts)}, part});
  });
  return parts;
}

}  // namespace elbo::detail
