#include "elbo/data/batch_source.h"

#include "elbo/error.h"
#include "support/statistics.h"

namespace elbo::data {
namespace {

Part bytes() {
  Part part;
  part.x = at::arange(24, at::kByte).view({4, 2, 3});
  return part;
}

TEST(BatchSource, GathersScaledFlattenedRows) {
  const BatchSource source(bytes(), 0.5, Binarize::kNone, at::kDouble);
  EXPECT_EQ(source.rows(), 4);
  EXPECT_EQ(source.dim(), 6);
  const auto rows = at::tensor({2, 0}, at::kLong);
  const auto batch = source.gather(rows, Noise(1));
  EXPECT_EQ(batch.total, 4);
  EXPECT_TRUE(batch.rows.equal(rows));
  EXPECT_TRUE(batch["x"][0].equal(at::arange(12, 18, at::kDouble) * 0.5));
  EXPECT_TRUE(batch["x"][1].equal(at::arange(0, 6, at::kDouble) * 0.5));
}

TEST(BatchSource, OnePassIsIndexingThenScaling) {
  const auto grey = at::arange(7 * 101, at::kLong).mul(37).remainder(256).view({7, 101});
  const auto rows = at::tensor({6, 0, 3, 3}, at::kLong);
  for (const auto stored : {at::kByte, at::kFloat, at::kDouble, at::kInt})
    for (const auto dtype : {at::kFloat, at::kDouble})
      for (const bool transposed : {false, true}) {
        const auto x = transposed ? grey.to(stored).t().contiguous().t() : grey.to(stored);
        for (const double scale : {1.0, 1.0 / 255}) {
          const auto got =
              BatchSource({.x = x}, scale, Binarize::kNone, dtype).gather(rows, Noise(1))["x"];
          EXPECT_EQ(got.scalar_type(), dtype);
          EXPECT_TRUE(got.equal(to_float(x.index_select(0, rows), scale, dtype)));
        }
        const auto black = BatchSource({.x = x}, 1.0 / 255, Binarize::kThreshold, dtype)
                               .gather(rows, Noise(1))["x"];
        EXPECT_TRUE(black.equal(grey.index_select(0, rows).gt(127).to(dtype)));
      }
}

TEST(BatchSource, RefusesRowsOutsideTheData) {
  const BatchSource source(bytes(), 1, Binarize::kNone, at::kFloat);
  EXPECT_THROW((void)source.gather(at::tensor({0, 4}, at::kLong), Noise(1)), DomainError);
  EXPECT_THROW((void)source.gather(at::tensor({-1}, at::kLong), Noise(1)), DomainError);
  EXPECT_EQ(source.range(0, 0, Noise(1))["x"].sizes(), at::IntArrayRef({0, 6}));
}

TEST(BatchSource, ThresholdIsAboveOneHalf) {
  const BatchSource source(bytes(), 1.0 / 22, Binarize::kThreshold, at::kFloat);
  const auto x = source.range(0, 4, Noise(1))["x"].flatten();
  EXPECT_EQ(x[11].item<float>(), 0);  // 11 / 22 is not above 1/2
  EXPECT_EQ(x[12].item<float>(), 1);
}

// n = 40 000 draws of one grey value, z* = 6.11.
TEST(BatchSource, SampledBinarisationHasTheGreyValueAsMeanAndBelongsToTheRow) {
  Part part;
  part.x = at::full({400, 100}, 0.3, at::kFloat);
  const BatchSource source(part, 1.0, Binarize::kSample, at::kFloat);
  const auto all = source.range(0, 400, Noise(1, 7))["x"];
  EXPECT_LT(elbo::testing::estimate(all).z(0.3), elbo::testing::kZStar);
  EXPECT_TRUE(all.eq(0).logical_or(all.eq(1)).all().item<bool>());
  EXPECT_TRUE(source.range(100, 5, Noise(1, 7))["x"].equal(all.narrow(0, 100, 5)));
  EXPECT_FALSE(source.range(0, 400, Noise(1, 8))["x"].equal(all));  // anew at every step
}

TEST(BatchSource, DeliversTheMask) {
  auto part = bytes();
  part.mask = at::ones({4, 2, 3}, at::kBool);
  part.mask[1][0][2] = false;
  const BatchSource source(part, 1.0, Binarize::kNone, at::kFloat);
  const auto batch = source.range(1, 1, Noise(1));
  EXPECT_FALSE(batch.mask[0][2].item<bool>());
  EXPECT_EQ(batch.mask.sum().item<int64_t>(), 5);
}

TEST(ParseBinarize, KnowsThreeWords) {
  EXPECT_EQ(parse_binarize("sample"), Binarize::kSample);
  EXPECT_THROW((void)parse_binarize("maybe"), ConfigError);
}

}  // namespace
}  // namespace elbo::data
