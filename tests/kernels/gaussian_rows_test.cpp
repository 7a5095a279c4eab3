#include "elbo/kernels/gaussian_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "elbo/error.h"
#include "elbo/kernels/noise.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

struct Problem {
  Problem(int64_t rows, int64_t d, int64_t components) {
    const Noise noise(rows * 1000 + d * 10 + components);
    x = noise.site("x").normal({rows, d}, kDouble) + 3;
    loc = noise.site("loc").normal({components, d}, kDouble) + 3;
    lower = 0.3 * noise.site("lower").normal({components, d, d}, kDouble).tril(-1) +
            at::diag_embed(noise.site("diagonal").uniform({components, d}, kDouble) + 0.5);
    weights = noise.site("w").uniform({components, rows}, kDouble);
  }
  at::Tensor x, loc, lower, weights;
};

double difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return ((a - b).abs() / b.abs().clamp_min(1)).max().item<double>();
}

// Every remainder of rows to a block and of coordinates to a tile.
const std::vector<std::array<int64_t, 3>> kSizes = {{1, 1, 1},  {7, 2, 3},    {31, 3, 2},
                                                    {32, 4, 1}, {33, 5, 4},   {64, 8, 2},
                                                    {65, 9, 5}, {1000, 20, 7}};

TEST(GaussianRows, AreTheirPlainTwins) {
  for (const auto& [rows, d, components] : kSizes) {
    const Problem p(rows, d, components);
    EXPECT_LE(difference(gaussian_log_densities(p.x, p.loc, p.lower),
                         plain::gaussian_log_densities(p.x, p.loc, p.lower)),
              1e-12)
        << rows << " rows of " << d;
    const auto scatter = weighted_scatter(p.x, p.weights, p.loc);
    EXPECT_LE(difference(scatter, plain::weighted_scatter(p.x, p.weights, p.loc)), 1e-12)
        << rows << " rows of " << d;
    EXPECT_TRUE(scatter.equal(scatter.transpose(1, 2)));
  }
}

TEST(GaussianRows, DoNotDependOnThreads) {
  const Problem p(1000, 6, 5);
  const auto densities = gaussian_log_densities(p.x, p.loc, p.lower);
  const auto scatter = weighted_scatter(p.x, p.weights, p.loc);
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  EXPECT_TRUE(gaussian_log_densities(p.x, p.loc, p.lower).equal(densities));
  EXPECT_TRUE(weighted_scatter(p.x, p.weights, p.loc).equal(scatter));
  at::set_num_threads(threads);
}

TEST(GaussianRows, TakeViewsAndOtherDtypes) {
  const Problem p(50, 3, 2);
  const auto turned = p.x.t().contiguous().t();
  EXPECT_TRUE(gaussian_log_densities(turned, p.loc, p.lower)
                  .equal(gaussian_log_densities(p.x, p.loc, p.lower)));
  const auto single =
      gaussian_log_densities(p.x.to(at::kFloat), p.loc.to(at::kFloat), p.lower.to(at::kFloat));
  EXPECT_EQ(single.scalar_type(), at::kFloat);
  EXPECT_LE(difference(single.to(at::kDouble), gaussian_log_densities(p.x, p.loc, p.lower)), 1e-4);
}

TEST(GaussianRows, KeepTheirDigitsFarFromTheOrigin) {
  // Expanded squares would lose all of them: (1e8)^2 eps = 2.
  const Problem p(100, 4, 2);
  const auto near = gaussian_log_densities(p.x, p.loc, p.lower);
  EXPECT_LE(difference(gaussian_log_densities(p.x + 1e8, p.loc + 1e8, p.lower), near), 1e-6);
}

TEST(GaussianRows, RejectShapesThatDoNotFit) {
  const Problem p(10, 3, 2);
  EXPECT_THROW((void)gaussian_log_densities(p.x, p.loc.narrow(1, 0, 2), p.lower), ShapeError);
  EXPECT_THROW((void)gaussian_log_densities(p.x, p.loc, p.lower.narrow(0, 0, 1)), ShapeError);
  EXPECT_THROW((void)weighted_scatter(p.x, p.weights.narrow(1, 0, 9), p.loc), ShapeError);
}

}  // namespace
}  // namespace elbo
