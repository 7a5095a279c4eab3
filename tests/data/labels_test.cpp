#include "elbo/data/labels.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/error.h"

namespace elbo::data {
namespace {

at::Tensor labels_of(int64_t rows, int64_t classes) {
  return at::arange(rows, at::kLong).remainder(classes);
}

TEST(BalancedLabels, KeepsAsManyOfEachClass) {
  const auto labels = labels_of(1000, 10);
  const auto kept = balanced_labels(labels, 50, 7);
  const auto known = kept.ge(0);
  EXPECT_EQ(known.sum().item<int64_t>(), 50);
  EXPECT_TRUE(kept.masked_select(known).equal(labels.masked_select(known)));
  EXPECT_TRUE(kept.masked_select(known.logical_not()).eq(-1).all().item<bool>());
  EXPECT_TRUE(at::bincount(kept.masked_select(known)).eq(5).all().item<bool>());
}

TEST(BalancedLabels, IsAFunctionOfTheSeed) {
  const auto labels = labels_of(1000, 10);
  EXPECT_TRUE(balanced_labels(labels, 50, 7).equal(balanced_labels(labels, 50, 7)));
  EXPECT_FALSE(balanced_labels(labels, 50, 7).equal(balanced_labels(labels, 50, 8)));
}

TEST(BalancedLabels, RejectsWhatCannotBeBalanced) {
  const auto labels = labels_of(100, 10);
  for (const int64_t count : {0, 5, 15, 100, 200})
    EXPECT_THROW((void)balanced_labels(labels, count, 1), ConfigError) << count;
  const auto rare = at::cat({at::zeros({98}, at::kLong), at::ones({2}, at::kLong)});
  EXPECT_THROW((void)balanced_labels(rare, 6, 1), ConfigError);
  EXPECT_THROW((void)balanced_labels(labels - 1, 10, 1), DataError);
}

}  // namespace
}  // namespace elbo::data
