#include "elbo/data/digits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "elbo/error.h"

namespace elbo::data {
namespace {

uint64_t fnv1a(const Bytes& bytes) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const std::byte b : bytes) hash = (hash ^ std::to_integer<uint64_t>(b)) * 0x100000001b3ULL;
  return hash;
}

TEST(Digits, AreAPureFunctionOfSeedAndIndex) {
  const Labelled all = make_digits(7, 0, 20);
  const Labelled some = make_digits(7, 10, 5);
  EXPECT_EQ(some.images.shape, (std::vector<int64_t>{5, 28, 28}));
  EXPECT_EQ(some.labels.shape, (std::vector<int64_t>{5}));
  EXPECT_TRUE(std::equal(some.images.bytes.begin(), some.images.bytes.end(),
                         all.images.bytes.begin() + 10 * 784));
  EXPECT_TRUE(std::equal(some.labels.bytes.begin(), some.labels.bytes.end(),
                         all.labels.bytes.begin() + 10));
  EXPECT_NE(make_digits(8, 0, 20).images.bytes, all.images.bytes);
  EXPECT_EQ(make_digits(7, 3, 0).images.numel(), 0);
  EXPECT_THROW((void)make_digits(7, -1, 1), DomainError);
  EXPECT_THROW((void)make_digits(7, 0, -1), DomainError);
}

// A change of these numbers changes every seeded result on `digits`: say so in the changelog.
TEST(Digits, FirstHundredKeepTheirBytes) {
  const Labelled digits = make_digits(0, 0, 100);
  EXPECT_EQ(fnv1a(digits.labels.bytes), 0x6150170df4321143ULL);
  EXPECT_EQ(fnv1a(digits.images.bytes), 0xbe5268f3b7ce9d74ULL);
}

TEST(Digits, LabelsAreBalancedInEveryTen) {
  const Labelled digits = make_digits(1, 0, 5000);
  for (int64_t block = 0; block < 500; ++block) {
    std::array<int, 10> counts{};
    for (int64_t i = 0; i < 10; ++i) ++counts.at(digits.labels.as<uint8_t>()[block * 10 + i]);
    for (const int count : counts) ASSERT_EQ(count, 1) << "block " << block;
  }
  // Not the same order each time.
  EXPECT_FALSE(std::equal(digits.labels.bytes.begin(), digits.labels.bytes.begin() + 10,
                          digits.labels.bytes.begin() + 10));
}

TEST(Digits, StayOnThePageAndUseTheWholeRange) {
  constexpr int64_t kCount = 2000;
  const Labelled digits = make_digits(2, 0, kCount);
  const uint8_t* pixels = digits.images.as<uint8_t>();
  int64_t at_edge = 0;
  int64_t with_white = 0;
  double sum = 0;
  for (int64_t n = 0; n < kCount; ++n) {
    const uint8_t* image = pixels + n * 784;
    bool edge = false;
    for (int i = 0; i < 28; ++i) {
      edge = edge || image[i] > 0 || image[27 * 28 + i] > 0 || image[28 * i] > 0 ||
             image[28 * i + 27] > 0;
    }
    at_edge += edge;
    with_white += *std::max_element(image, image + 784) >= 250;
    for (int i = 0; i < 784; ++i) sum += image[i];
  }
  EXPECT_LE(at_edge, kCount / 50);  // centred by mass, as MNIST: a few reach the border
  EXPECT_GE(with_white, kCount * 9 / 10);
  const double mean = sum / (784.0 * kCount);  // MNIST: 33.3
  EXPECT_GT(mean, 25.0);
  EXPECT_LT(mean, 40.0);
}

}  // namespace
}  // namespace elbo::data
