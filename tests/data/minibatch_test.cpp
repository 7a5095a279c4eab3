#include "elbo/data/minibatch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "elbo/error.h"

namespace elbo::data {
namespace {

TEST(EpochOrder, IsAPermutationAndAPureFunction) {
  for (const int64_t n : {0, 1, 2, 7, 1000}) {
    const auto order = epoch_order(3, 5, n);
    std::vector<int64_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(sorted[static_cast<size_t>(i)], i);
    EXPECT_EQ(order, epoch_order(3, 5, n));
  }
  EXPECT_NE(epoch_order(3, 5, 100), epoch_order(3, 6, 100));
  EXPECT_NE(epoch_order(3, 5, 100), epoch_order(4, 5, 100));
  EXPECT_THROW((void)epoch_order(0, -1, 3), DomainError);
  EXPECT_THROW((void)epoch_order(0, 0, -3), DomainError);
}

// 24000 epochs of n = 4: each of the 24 orders is expected 1000 times. Chi-square with 23 degrees
// of freedom exceeds 75.6 with probability 1.6e-7 when all orders are equally likely. Never
// swapping an element with itself (Sattolo) leaves 6 orders and scores 72000.
TEST(EpochOrder, AllOrdersAreEquallyLikely) {
  std::array<int, 256> counts{};
  std::set<size_t> seen;
  constexpr int kEpochs = 24000;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    size_t code = 0;
    for (const int64_t row : epoch_order(11, epoch, 4)) code = code * 4 + static_cast<size_t>(row);
    ++counts[code];
    seen.insert(code);
  }
  ASSERT_EQ(seen.size(), 24U);
  double chi_square = 0;
  for (const size_t code : seen) {
    const double difference = counts[code] - kEpochs / 24.0;
    chi_square += difference * difference / (kEpochs / 24.0);
  }
  EXPECT_LT(chi_square, 75.6);
  EXPECT_GT(chi_square, 3.0);  // too even is as suspect: probability 2.0e-7
}

}  // namespace
}  // namespace elbo::data
