#include "elbo/data/tensor.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/files.h"

namespace elbo::data {
namespace {

TEST(Tensor, SharesTheArraysMemory) {
  Array array = Array::zeros({2, 3}, DType::kInt32);
  array.as<int32_t>()[4] = -7;
  const auto* memory = array.bytes.data();
  const at::Tensor tensor = to_tensor(std::move(array));
  EXPECT_EQ(tensor.data_ptr(), static_cast<const void*>(memory));
  EXPECT_EQ(tensor.scalar_type(), at::kInt);
  EXPECT_EQ(tensor[1][1].item<int>(), -7);
}

TEST(Tensor, ComesBackAsItWent) {
  for (const auto type : {at::kByte, at::kInt, at::kLong, at::kFloat, at::kDouble}) {
    const at::Tensor tensor = at::arange(12, type).view({3, 4}).t();  // not contiguous
    EXPECT_TRUE(at::equal(to_tensor(to_array(tensor)), tensor));
  }
  EXPECT_EQ(to_tensor(to_array(at::empty({0, 5}))).sizes(), at::IntArrayRef({0, 5}));
  EXPECT_EQ(testing::message_of<DataError>([] { (void)to_array(at::zeros({1}, at::kBool)); }),
            "to_array: elements of type Bool; expected uint8, int32, int64, float32 or float64");
}

}  // namespace
}  // namespace elbo::data
