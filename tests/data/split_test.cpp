#include "elbo/data/split.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/error.h"

namespace elbo::data {
namespace {

/// Row i holds i, 100 + i; its label is 1000 + i, and its second value is missing where i is odd.
DataSet numbered(int64_t rows) {
  DataSet set;
  set.name = "numbered";
  const auto i = at::arange(rows, at::kLong);
  set.train.x = at::stack({i, i + 100}, 1).to(at::kDouble);
  set.train.labels = i + 1000;
  set.train.mask = at::stack({at::ones_like(i), 1 - i % 2}, 1).to(at::kBool);
  set.event_shape = {2};
  return set;
}

void expect_whole_rows(const Part& part) {
  const auto i = part.x.select(1, 0);
  EXPECT_TRUE(at::equal(part.x.select(1, 1), i + 100));
  EXPECT_TRUE(at::equal(part.labels, (i + 1000).to(at::kLong)));
  EXPECT_TRUE(at::equal(part.mask.select(1, 1), (i.to(at::kLong) % 2) == 0));
}

TEST(Split, EveryRowIsInOneOfTheParts) {
  for (const bool last : {false, true}) {
    const auto set = last ? split_last(numbered(50), 20) : split_at_random(numbered(50), 20, 3);
    EXPECT_EQ(set.train.rows(), 30);
    EXPECT_EQ(set.test.rows(), 20);
    expect_whole_rows(set.train);
    expect_whole_rows(set.test);
    const auto all = at::cat({set.train.x, set.test.x}).select(1, 0);
    EXPECT_TRUE(at::equal(std::get<0>(all.sort()), at::arange(50, at::kDouble)));
  }
}

TEST(Split, AtRandomIsAFunctionOfTheSeed) {
  const auto test = [](uint64_t seed) { return split_at_random(numbered(50), 20, seed).test.x; };
  EXPECT_TRUE(at::equal(test(3), test(3)));
  EXPECT_FALSE(at::equal(test(3), test(4)));
  EXPECT_FALSE(at::equal(test(3), split_last(numbered(50), 20).test.x));
}

TEST(Split, TheLastKeepTheirOrder) {
  const auto set = split_last(numbered(7), 3);
  EXPECT_TRUE(at::equal(set.test.x.select(1, 0), at::tensor({4., 5., 6.}, at::kDouble)));
}

TEST(Split, WorksWithoutLabelsAndMask) {
  auto set = numbered(5);
  set.train.labels = at::Tensor();
  set.train.mask = at::Tensor();
  const auto halves = split_last(set, 2);
  EXPECT_FALSE(halves.test.labels.defined());
  EXPECT_FALSE(halves.train.mask.defined());
}

TEST(Split, Refuses) {
  for (const int64_t rows : {-1, 0, 5, 6}) {
    EXPECT_THROW((void)split_last(numbered(5), rows), ConfigError) << rows;
    EXPECT_THROW((void)split_at_random(numbered(5), rows, 0), ConfigError) << rows;
  }
}

}  // namespace
}  // namespace elbo::data
