#include "elbo/plotting/png.h"

#include <gtest/gtest.h>

#include "elbo/error.h"
#include "plotting/decode_png.h"

namespace elbo::plotting {
namespace {

TEST(Png, RoundTrips) {
  for (const int channels : {1, 3}) {
    Pixels pixels{.width = 17, .height = 5, .channels = channels, .values = {}};
    for (int i = 0; i < 17 * 5 * channels; ++i) pixels.values.push_back(static_cast<uint8_t>(i));
    const Pixels read = decode_png(encode_png(pixels));
    EXPECT_EQ(read.width, 17);
    EXPECT_EQ(read.height, 5);
    EXPECT_EQ(read.channels, channels);
    EXPECT_EQ(read.values, pixels.values);
  }
}

TEST(Png, RefusesSizesThatDoNotFit) {
  EXPECT_THROW((void)encode_png({}), ShapeError);
  EXPECT_THROW((void)encode_png({.width = 2, .height = 2, .channels = 1, .values = {0}}),
               ShapeError);
  EXPECT_THROW((void)encode_png({.width = 1, .height = 1, .channels = 2, .values = {0, 0}}),
               ShapeError);
  EXPECT_THROW(
      (void)encode_png(
          {.width = 40000, .height = 1, .channels = 1, .values = std::vector<uint8_t>(40000)}),
      ShapeError);
}

}  // namespace
}  // namespace elbo::plotting
