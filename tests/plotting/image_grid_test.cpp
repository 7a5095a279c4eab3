#include "elbo/plotting/image_grid.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "elbo/error.h"
#include "plotting/decode_png.h"

namespace elbo::plotting {
namespace {

TEST(ImageGrid, PixelsAreWhereTheyShouldBe) {
  const at::Tensor images =
      at::tensor({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, at::kByte).view({3, 2, 2});
  const Pixels gapless = decode_png(image_grid_png(images, {.columns = 2}));
  EXPECT_EQ(gapless.channels, 1);
  EXPECT_EQ(gapless.width, 4);
  EXPECT_EQ(gapless.values, (std::vector<uint8_t>{0, 1, 4, 5, 2, 3, 6, 7,  //
                                                  8, 9, 255, 255, 10, 11, 255, 255}));
  const Pixels scaled = decode_png(image_grid_png(
      images.slice(0, 0, 2), {.columns = 5, .scale = 2, .gap = 1, .background = 77}));
  EXPECT_EQ(scaled.width, 9) << "no more columns than images";
  EXPECT_EQ(scaled.height, 4);
  EXPECT_EQ(std::vector<uint8_t>(scaled.values.begin(), scaled.values.begin() + 9),
            (std::vector<uint8_t>{0, 0, 1, 1, 77, 4, 4, 5, 5}));
}

TEST(ImageGrid, FloatsAreRoundedAndClamped) {
  const at::Tensor images = at::tensor({-0.5, 0.0, 0.5, 1.0, 7.0}, at::kDouble).view({1, 1, 5});
  EXPECT_EQ(decode_png(image_grid_png(images, {.columns = 1})).values,
            (std::vector<uint8_t>{0, 0, 128, 255, 255}));
}

TEST(ImageGrid, Refuses) {
  const GridOptions options{.columns = 2};
  EXPECT_THROW((void)image_grid_png(at::zeros({2, 4}), options), ShapeError);
  EXPECT_THROW((void)image_grid_png(at::zeros({0, 4, 4}), options), ShapeError);
  EXPECT_THROW((void)image_grid_png(at::zeros({1, 40000, 1}), options), ShapeError);
  EXPECT_THROW((void)image_grid_png(at::zeros({1, 4, 4}, at::kLong), options), DomainError);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW((void)image_grid_png(at::full({1, 4, 4}, nan), options), DomainError);
  EXPECT_THROW((void)image_grid_png(at::zeros({1, 4, 4}), {.columns = 0}), DomainError);
  EXPECT_THROW((void)image_grid_png(at::zeros({1, 4, 4}), {.columns = 1, .scale = 0}), DomainError);
}

TEST(ReconstructionPairs, OriginalsAboveReconstructions) {
  const at::Tensor originals = at::full({3, 64, 64}, 10, at::kByte);
  const at::Tensor reconstructions = at::full({3, 64, 64}, 200, at::kByte);
  const Pixels out = decode_png(reconstruction_pairs_png(originals, reconstructions, 2));
  const auto column = [&](int64_t x) {
    std::vector<int> values;  // of the images, top to bottom, without repeats
    for (int64_t y = 0; y < out.height; ++y) {
      const int value = out.values[(y * out.width + x) * out.channels];
      if ((value == 10 || value == 200) && (values.empty() || values.back() != value)) {
        values.push_back(value);
      }
    }
    return values;
  };
  EXPECT_EQ(column(out.width - 12 - 64 - 10), (std::vector<int>{10, 200, 10, 200}));
  EXPECT_EQ(column(out.width - 20), (std::vector<int>{10, 200})) << "the last row has one pair";
  EXPECT_THROW((void)reconstruction_pairs_png(originals, originals.slice(0, 0, 2), 2), ShapeError);
}

}  // namespace
}  // namespace elbo::plotting
