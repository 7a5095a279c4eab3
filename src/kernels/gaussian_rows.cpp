#include "elbo/kernels/gaussian_rows.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "elbo/error.h"
#include "kernels/detail/recording.h"
#include "kernels/detail/simd.h"
#include "kernels/detail/team.h"

namespace elbo {
namespace {

constexpr int64_t kTile = 4;  // coordinates that are worked on together

int64_t padded(int64_t d) { return (d + kTile - 1) / kTile * kTile; }

/// W doubles side by side, each of another row.
template <int W>
struct Lanes {
  typedef double V __attribute__((vector_size(8 * W)));
  typedef double Unaligned __attribute__((vector_size(8 * W), aligned(8), may_alias));
  ELBO_INLINE static V load(const double* p) { return V(*reinterpret_cast<const Unaligned*>(p)); }
  ELBO_INLINE static void store(double* p, const V& v) { *reinterpret_cast<Unaligned*>(p) = v; }
};

/// Rows [first, first + count) of x as columns of `kRows`: to[j * kRows + r]. The last row repeats.
template <int64_t kRows>
ELBO_INLINE void transpose(const double* x, int64_t first, int64_t count, int64_t d, double* to) {
  for (int64_t r = 0; r < kRows; ++r) {
    const double* row = x + (first + (r < count ? r : count - 1)) * d;
    for (int64_t j = 0; j < d; ++j) to[j * kRows + r] = row[j];
  }
}

struct Densities {
  const double *x, *loc;  // [M, d], [K, padded]
  const double* lower;   // [K, padded, padded]: L_k with 1 / L_ii on the diagonal, 0 in the padding
  const double* offset;  // [K]: the log of the normaliser
  double* out;           // [K, M]
  int64_t rows, d, components;
};

/// Blocks [begin, end) of W * N rows.
template <int W, int N>
struct DensityBlocks {
  static constexpr int64_t kRows = W * N;
  using V = typename Lanes<W>::V;

  static void run(const Densities& a, int64_t begin, int64_t end) {
    const int64_t p = padded(a.d);
    std::vector<double> scratch(static_cast<size_t>(2 * p * kRows), 0.0);
    double *x = scratch.data(), *y = x + p * kRows;
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kRows, count = std::min(kRows, a.rows - first);
      transpose<kRows>(a.x, first, count, a.d, x);
      for (int64_t k = 0; k < a.components; ++k) {
        V squares[N] = {};
        component(a.loc + k * p, a.lower + k * p * p, p, x, y, squares);
        alignas(64) double result[kRows];
        for (int n = 0; n < N; ++n) Lanes<W>::store(result + n * W, a.offset[k] - 0.5 * squares[n]);
        double* out = a.out + k * a.rows + first;
        for (int64_t r = 0; r < count; ++r) out[r] = result[r];
      }
    }
  }

  /// y = L^-1 (x - loc), four coordinates at a time, and the sums of its squares.
  ELBO_INLINE static void component(const double* loc, const double* lower, int64_t p,
                                    const double* x, double* y, V* squares) {
    for (int64_t i = 0; i < p; i += kTile) {
      const double* l = lower + i * p;
      V sum[kTile][N];
      for (int a = 0; a < kTile; ++a)
        for (int n = 0; n < N; ++n)
          sum[a][n] = Lanes<W>::load(x + (i + a) * kRows + n * W) - loc[i + a];
      for (int64_t j = 0; j < i; ++j) {
        V found[N];
        for (int n = 0; n < N; ++n) found[n] = Lanes<W>::load(y + j * kRows + n * W);
        for (int a = 0; a < kTile; ++a)
          for (int n = 0; n < N; ++n) sum[a][n] -= l[a * p + j] * found[n];
      }
      for (int a = 0; a < kTile; ++a) {
        for (int b = 0; b < a; ++b)
          for (int n = 0; n < N; ++n) sum[a][n] -= l[a * p + i + b] * sum[b][n];
        for (int n = 0; n < N; ++n) {
          sum[a][n] *= l[a * p + i + a];
          squares[n] += sum[a][n] * sum[a][n];
          Lanes<W>::store(y + (i + a) * kRows + n * W, sum[a][n]);
        }
      }
    }
  }
};

struct Scatter {
  const double *x, *weights, *centre;  // [M, d], [K, M], [K, padded]
  double* out;                         // [K, d, d], the lower triangles
  int64_t rows, d;
};

/// Components [begin, end).
template <int W, int N>
struct ScatterOfComponents {
  static constexpr int64_t kRows = 64;
  using V = typename Lanes<W>::V;

  static void run(const Scatter& s, int64_t begin, int64_t end) {
    const int64_t p = padded(s.d), tiles = p / kTile * (p / kTile + 1) / 2;
    const int64_t sums = tiles * kTile * kTile * W;  // of a component
    // Zeros stay in the padding of x, so that its sums are finite; they are not read.
    std::vector<double> scratch(static_cast<size_t>(3 * p * kRows + (end - begin) * sums), 0.0);
    double *x = scratch.data(), *c = x + p * kRows, *v = c + p * kRows, *total = v + p * kRows;
    for (int64_t first = 0; first < s.rows; first += kRows) {
      const int64_t count = std::min(kRows, s.rows - first);
      transpose<kRows>(s.x, first, count, s.d, x);
      for (int64_t k = begin; k < end; ++k) {
        double w[kRows] = {};  // 0 for rows beyond the last
        for (int64_t r = 0; r < count; ++r) w[r] = s.weights[k * s.rows + first + r];
        centred(x, s.centre + k * p, w, p, c, v);
        add(c, v, p, total + (k - begin) * sums);
      }
    }
    for (int64_t k = begin; k < end; ++k) finish(total + (k - begin) * sums, s, k);
  }

 private:
  /// c = x - centre, v = w c
  ELBO_INLINE static void centred(const double* x, const double* centre, const double* w, int64_t p,
                                  double* c, double* v) {
    for (int64_t j = 0; j < p; ++j)
      for (int64_t r = 0; r < kRows; r += W) {
        const V difference = Lanes<W>::load(x + j * kRows + r) - centre[j];
        Lanes<W>::store(c + j * kRows + r, difference);
        Lanes<W>::store(v + j * kRows + r, difference * Lanes<W>::load(w + r));
      }
  }

  ELBO_INLINE static void add(const double* c, const double* v, int64_t p, double* total) {
    for (int64_t i = 0; i < p; i += kTile)
      for (int64_t j = 0; j <= i; j += kTile, total += kTile * kTile * W)
        for (int64_t half = 0; half < kTile; half += N) {
          // N x 4 sums stay in registers.
          V sum[N][kTile];
          for (int a = 0; a < N; ++a)
            for (int b = 0; b < kTile; ++b)
              sum[a][b] = Lanes<W>::load(total + ((half + a) * kTile + b) * W);
          for (int64_t r = 0; r < kRows; r += W) {
            V right[kTile];
            for (int b = 0; b < kTile; ++b) right[b] = Lanes<W>::load(c + (j + b) * kRows + r);
            for (int a = 0; a < N; ++a) {
              const V left = Lanes<W>::load(v + (i + half + a) * kRows + r);
              for (int b = 0; b < kTile; ++b) sum[a][b] += left * right[b];
            }
          }
          for (int a = 0; a < N; ++a)
            for (int b = 0; b < kTile; ++b)
              Lanes<W>::store(total + ((half + a) * kTile + b) * W, sum[a][b]);
        }
  }

  static void finish(const double* total, const Scatter& s, int64_t k) {
    double* out = s.out + k * s.d * s.d;
    for (int64_t i = 0; i < padded(s.d); i += kTile)
      for (int64_t j = 0; j <= i; j += kTile)
        for (int64_t a = 0; a < kTile; ++a)
          for (int64_t b = 0; b < kTile; ++b, total += W) {
            if (i + a >= s.d || j + b > i + a) continue;
            double sum = 0;
            for (int l = 0; l < W; ++l) sum += total[l];
            out[(i + a) * s.d + j + b] = out[(j + b) * s.d + i + a] = sum;
          }
  }
};

/// Kernel<lanes, vectors>::run as suits this machine's registers.
template <template <int, int> class Kernel, class Arguments>
auto for_machine() {
  using Run = void (*)(const Arguments&, int64_t, int64_t);
#if defined(ELBO_HAS_AVX2_LOOPS)
  if (math::has_avx512())
    return Run(&simd::Compiled<Kernel<8, 4>>::template avx512<const Arguments&, int64_t, int64_t>);
  if (math::has_avx2())
    return Run(&simd::Compiled<Kernel<4, 2>>::template avx2<const Arguments&, int64_t, int64_t>);
#endif
  return Run(&simd::Compiled<Kernel<2, 2>>::template baseline<const Arguments&, int64_t, int64_t>);
}

int64_t rows_of_block() {
#if defined(ELBO_HAS_AVX2_LOOPS)
  if (math::has_avx512()) return DensityBlocks<8, 4>::kRows;
  if (math::has_avx2()) return DensityBlocks<4, 2>::kRows;
#endif
  return DensityBlocks<2, 2>::kRows;
}

bool suits(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kDouble && x.numel() > 0;
}

void check(const char* name, const at::Tensor& x, const at::Tensor& per_component,
           const at::Tensor& other, bool fits) {
  if (fits) return;
  throw ShapeError(fmt::format("{}: shapes [{}], [{}] and [{}] do not fit", name,
                               fmt::join(x.sizes(), ", "), fmt::join(per_component.sizes(), ", "),
                               fmt::join(other.sizes(), ", ")));
}

double half_log_two_pi(int64_t d) {
  return 0.5 * std::log(2 * std::numbers::pi) * static_cast<double>(d);
}

at::Tensor pad_last(const at::Tensor& x, int64_t to) {
  return at::constant_pad_nd(x, {0, to - x.size(-1)}).contiguous();
}

}  // namespace

at::Tensor plain::gaussian_log_densities(const at::Tensor& x, const at::Tensor& loc,
                                         const at::Tensor& scale_tril) {
  const auto centred = x.unsqueeze(0) - loc.unsqueeze(1);  // [K, M, d]
  const auto y = at::linalg_solve_triangular(scale_tril, centred.transpose(1, 2), /*upper=*/false);
  const auto log_det = scale_tril.diagonal(0, -2, -1).log().sum(-1, /*keepdim=*/true);
  return -0.5 * y.square().sum(1) - log_det - half_log_two_pi(x.size(1));
}

at::Tensor plain::weighted_scatter(const at::Tensor& x, const at::Tensor& weights,
                                   const at::Tensor& centre) {
  const auto centred = x.unsqueeze(0) - centre.unsqueeze(1);  // [K, M, d]
  return (centred * weights.unsqueeze(-1)).transpose(1, 2).matmul(centred);
}

at::Tensor gaussian_log_densities(const at::Tensor& x, const at::Tensor& loc,
                                  const at::Tensor& scale_tril) {
  check("gaussian_log_densities", x, loc, scale_tril,
        x.dim() == 2 && loc.dim() == 2 && scale_tril.dim() == 3 && x.size(1) == loc.size(1) &&
            scale_tril.size(0) == loc.size(0) && scale_tril.size(1) == x.size(1) &&
            scale_tril.size(2) == x.size(1));
  if (!suits(x)) return plain::gaussian_log_densities(x, loc, scale_tril);
  const int64_t d = x.size(1), p = padded(d), components = loc.size(0);
  const auto rows = x.contiguous(), means = pad_last(loc, p);
  const auto diagonal = scale_tril.diagonal(0, -2, -1);
  auto lower = at::constant_pad_nd(scale_tril, {0, p - d, 0, p - d}).contiguous();
  lower.diagonal(0, -2, -1).narrow(1, 0, d).copy_(diagonal.reciprocal());
  const auto offset = (-diagonal.log().sum(-1) - half_log_two_pi(d)).contiguous();
  auto out = at::empty({components, x.size(0)}, x.options().requires_grad(false));
  const Densities arguments{.x = rows.data_ptr<double>(),
                            .loc = means.data_ptr<double>(),
                            .lower = lower.data_ptr<double>(),
                            .offset = offset.data_ptr<double>(),
                            .out = out.data_ptr<double>(),
                            .rows = x.size(0),
                            .d = d,
                            .components = components};
  static const auto run = for_machine<DensityBlocks, Densities>();
  static const int64_t block = rows_of_block();
  detail::recording::refuse("gaussian_log_densities");
  detail::parallel_for(0, (x.size(0) + block - 1) / block, 1 + (1 << 15) / (block * components * d),
                       [&](int64_t begin, int64_t end) { run(arguments, begin, end); });
  return out;
}

at::Tensor weighted_scatter(const at::Tensor& x, const at::Tensor& weights,
                            const at::Tensor& centre) {
  check("weighted_scatter", x, weights, centre,
        x.dim() == 2 && weights.dim() == 2 && centre.dim() == 2 && weights.size(1) == x.size(0) &&
            centre.size(0) == weights.size(0) && centre.size(1) == x.size(1));
  if (!suits(x)) return plain::weighted_scatter(x, weights, centre);
  const int64_t d = x.size(1);
  const auto rows = x.contiguous(), w = weights.contiguous(), c = pad_last(centre, padded(d));
  auto out = at::empty({weights.size(0), d, d}, x.options().requires_grad(false));
  const Scatter arguments{.x = rows.data_ptr<double>(),
                          .weights = w.data_ptr<double>(),
                          .centre = c.data_ptr<double>(),
                          .out = out.data_ptr<double>(),
                          .rows = x.size(0),
                          .d = d};
  static const auto run = for_machine<ScatterOfComponents, Scatter>();
  detail::recording::refuse("weighted_scatter");
  detail::parallel_for(0, weights.size(0), 1,
                       [&](int64_t begin, int64_t end) { run(arguments, begin, end); });
  return out;
}

}  // namespace elbo
