#include "elbo/kernels/gradient_sink.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace elbo {
namespace {

TEST(GradientSink, GivesEachParameterItsSliceAndAddsFromTheSecondUseOn) {
  const auto values = at::arange(10, at::kFloat), gradients = at::zeros({10}, at::kFloat);
  const std::vector<int64_t> begins = {0, 4, 6, 10};
  const auto first = values.narrow(0, 0, 4).view({2, 2}), second = values.narrow(0, 4, 2);
  EXPECT_FALSE(GradientSink::claim(first)) << "no sink lives";
  {
    const GradientSink sink(values, gradients, begins);
    const auto place = GradientSink::claim(first);
    ASSERT_TRUE(place);
    EXPECT_FALSE(place->add);
    EXPECT_EQ(place->gradient, gradients.data_ptr());
    EXPECT_TRUE(GradientSink::claim(first)->add);
    EXPECT_TRUE(sink.written(0));
    EXPECT_FALSE(sink.written(1));
    EXPECT_FALSE(GradientSink::claim(values.narrow(0, 0, 6))) << "one is written, one is not";
    // Two at once.
    const auto both = GradientSink::claim(values.narrow(0, 4, 6));
    ASSERT_TRUE(both);
    EXPECT_EQ(both->gradient, gradients.data_ptr<float>() + 4);
    EXPECT_TRUE(sink.written(1) && sink.written(2));
    EXPECT_TRUE(GradientSink::claim(second)->add);
  }
  EXPECT_FALSE(GradientSink::claim(first)) << "it is gone";
}

TEST(GradientSink, KnowsItsParametersOnly) {
  const auto values = at::zeros({8}, at::kFloat);
  const std::vector<int64_t> begins = {0, 4, 8};
  const GradientSink sink(values, at::zeros({8}, at::kFloat), begins);
  EXPECT_FALSE(GradientSink::claim(at::zeros({4}, at::kFloat)));
  EXPECT_FALSE(GradientSink::claim(values.narrow(0, 1, 4))) << "not where one begins";
  EXPECT_FALSE(GradientSink::claim(values.narrow(0, 0, 3))) << "not where one ends";
  EXPECT_FALSE(GradientSink::claim(values.view({2, 4}).t())) << "not contiguous";
  EXPECT_TRUE(GradientSink::claim(values.narrow(0, 4, 4)));
}

}  // namespace
}  // namespace elbo
