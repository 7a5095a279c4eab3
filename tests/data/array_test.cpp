#include "elbo/data/array.h"

#include <gtest/gtest.h>

#include "data/files.h"

namespace elbo::data {
namespace {

TEST(Array, KnowsItsSizeAndType) {
  Array array = Array::zeros({2, 3}, DType::kFloat32);
  EXPECT_EQ(array.numel(), 6);
  EXPECT_EQ(array.bytes.size(), 24U);
  array.as<float>()[5] = 2.5F;
  EXPECT_EQ(std::as_const(array).as<float>()[5], 2.5F);
  EXPECT_EQ(testing::message_of<DataError>([&] { (void)array.as<double>(); }),
            "Array::as: expected float64; the array holds float32");
  EXPECT_EQ(shape_string(array.shape), "2 x 3");
  EXPECT_EQ(shape_string({}), "scalar");
}

TEST(Array, ChecksShapesBeforeAllocating) {
  const std::vector<int64_t> huge = {int64_t{1} << 40, int64_t{1} << 40};
  const std::vector<int64_t> hidden = {int64_t{1} << 40, int64_t{1} << 40, 0};
  const std::vector<int64_t> negative = {3, -1};
  EXPECT_THROW((void)checked_bytes(huge, DType::kUInt8, "f"), DataError);
  EXPECT_THROW((void)checked_bytes(hidden, DType::kUInt8, "f"), DataError);
  EXPECT_THROW((void)checked_bytes(negative, DType::kUInt8, "f"), DataError);
  const std::vector<int64_t> edge = {int64_t{1} << 60};
  EXPECT_THROW((void)checked_bytes(edge, DType::kFloat64, "f"), DataError);
  EXPECT_EQ(checked_bytes(edge, DType::kUInt8, "f"), int64_t{1} << 60);
}

}  // namespace
}  // namespace elbo::data
