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

TEST(BatchSource, UsesTheMemoryOfABatchGivenUp) {
  const auto with = [](at::ScalarType dtype, Binarize binarize) {
    return BatchSource(bytes(), 0.05, binarize, dtype);
  };
  for (const auto& source :
       {with(at::kFloat, Binarize::kNone), with(at::kDouble, Binarize::kNone),
        with(at::kFloat, Binarize::kSample), with(at::kDouble, Binarize::kThreshold)}) {
    const auto ids = [](std::initializer_list<int64_t> rows) {
      return at::tensor(rows, at::kLong);
    };
    Batch batch = source.gather(ids({2, 0, 3}), Noise(1));
    const void* place = batch["x"].data_ptr();
    for (const auto& rows : {ids({1, 1, 0}), ids({3}), ids({0, 2, 1})}) {  // the last of an epoch
      batch = source.gather(rows, Noise(1), batch);
      EXPECT_EQ(batch["x"].data_ptr(), place);
      EXPECT_TRUE(batch["x"].equal(source.gather(rows, Noise(1))["x"]));
    }
    const Batch larger = source.gather(ids({0, 1, 2, 3}), Noise(1), batch);
    EXPECT_NE(larger["x"].data_ptr(), place);
    EXPECT_TRUE(batch["x"].equal(source.gather(ids({0, 2, 1}), Noise(1))["x"]));
  }
  // Of another dtype: memory of its own.
  const Batch first = BatchSource(bytes(), 1, Binarize::kNone, at::kDouble).range(0, 2, Noise(1));
  const auto kept = first["x"].clone();
  const auto rows = at::tensor({2, 3}, at::kLong);
  (void)BatchSource(bytes(), 1, Binarize::kNone, at::kFloat).gather(rows, Noise(1), first);
  EXPECT_TRUE(first["x"].equal(kept));
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

/// 40 rows of which 6 have a label, row i being i everywhere.
BatchSource with_some_labels(int64_t per_batch) {
  Part part;
  part.x = at::arange(40, at::kDouble).unsqueeze(1).expand({40, 3}).contiguous();
  auto labels = at::full({40}, -1, at::kLong);
  for (int64_t i = 0; i < 6; ++i) labels[7 * i] = i % 3;
  return BatchSource(part, 1.0, Binarize::kNone, at::kDouble).with_labels(labels, per_batch);
}

TEST(BatchSource, RowsWithLabelsJoinEveryBatch) {
  const auto source = with_some_labels(4);
  EXPECT_EQ(source.rows(), 34);
  const auto batch = source.gather(at::tensor({0, 33, 5}, at::kLong), Noise(1, 7));
  EXPECT_EQ(batch.size(), 7);
  EXPECT_EQ(batch.total, 40);
  // Those asked for are the 1st, 34th and 6th without a label.
  EXPECT_TRUE(batch.rows.narrow(0, 0, 3).equal(at::tensor({1, 39, 6}, at::kLong)));
  EXPECT_TRUE(batch["x"].select(1, 2).equal(batch.rows.to(at::kDouble)));
  const auto joined = batch.rows.narrow(0, 3, 4);
  EXPECT_TRUE(joined.remainder(7).eq(0).all().item<bool>());
  EXPECT_EQ(std::get<0>(at::_unique2(joined)).numel(), 4);  // without replacement
  EXPECT_TRUE(batch["y"].narrow(0, 0, 3).eq(-1).all().item<bool>());
  EXPECT_TRUE(batch["y"].narrow(0, 3, 4).equal(joined.floor_divide(7).remainder(3)));
  // Another step has others, the same step the same.
  const auto again = source.gather(at::tensor({0, 33, 5}, at::kLong), Noise(1, 7));
  EXPECT_TRUE(again.rows.equal(batch.rows));
  bool moved = false;
  for (uint64_t step = 8; step < 12; ++step)
    moved = moved || !source.range(0, 3, Noise(1, step)).rows.narrow(0, 3, 4).equal(joined);
  EXPECT_TRUE(moved);
}

TEST(BatchSource, WeightsMakeTheBatchesOfAnEpochAverageToTheData) {
  const auto source = with_some_labels(6);
  double sum = 0;
  for (const int64_t first : {0, 17}) {
    const auto batch = source.range(first, 17, Noise(1));
    EXPECT_NEAR(batch.weights.mean().item<double>(), 1, 1e-12);
    sum += (batch.weights * batch["x"].select(1, 0)).mean().item<double>() / 2;
  }
  EXPECT_NEAR(sum, 19.5, 1e-12);
}

// n = 3000 steps: shares that are off by 16 % would be seen. z* = 6.11.
TEST(BatchSource, RowsWithLabelsJoinEquallyOften) {
  const auto source = with_some_labels(2);
  constexpr int64_t kSteps = 3000;
  auto counts = at::zeros({40}, at::kDouble);
  for (uint64_t step = 0; step < kSteps; ++step)
    counts.index_add_(0, source.range(0, 1, Noise(3, step)).rows.narrow(0, 1, 2),
                      at::ones({2}, at::kDouble));
  const double sd = std::sqrt(kSteps * (1.0 / 3) * (2.0 / 3));
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_LT(std::abs(counts[7 * i].item<double>() - kSteps / 3.0) / sd, elbo::testing::kZStar);
}

TEST(BatchSource, AllRowsWithLabelsJoinWhereTheyAreFew) {
  const auto source = with_some_labels(100);
  const auto batch = source.range(0, 5, Noise(1));
  EXPECT_EQ(batch.size(), 11);
  EXPECT_EQ(source.labelled_rows(), 6);
  EXPECT_NEAR(batch.weights[0].item<double>(), 34.0 / 5 * 11 / 40, 1e-12);
  EXPECT_NEAR(batch.weights[10].item<double>(), 11.0 / 40, 1e-12);
}

TEST(BatchSource, RefusesLabelsForAllRowsOrNone) {
  const BatchSource source(bytes(), 1, Binarize::kNone, at::kFloat);
  EXPECT_THROW((void)source.with_labels(at::full({4}, -1, at::kLong), 2), ConfigError);
  EXPECT_THROW((void)source.with_labels(at::zeros({4}, at::kLong), 2), ConfigError);
  EXPECT_THROW((void)source.with_labels(at::tensor({0, -1}, at::kLong), 2), ConfigError);
  EXPECT_THROW((void)source.with_labels(at::tensor({0, -1, -1, 1}, at::kLong), 0), ConfigError);
}

TEST(ParseBinarize, KnowsThreeWords) {
  EXPECT_EQ(parse_binarize("sample"), Binarize::kSample);
  EXPECT_THROW((void)parse_binarize("maybe"), ConfigError);
}

}  // namespace
}  // namespace elbo::data
