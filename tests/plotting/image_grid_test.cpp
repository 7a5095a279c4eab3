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

TEST(ImagePanels, StandSideBySideAtAboutOneHeight) {
  const at::Tensor small = at::full({4, 28, 28}, 10, at::kByte);
  const at::Tensor large = at::full({100, 28, 20}, 200, at::kByte);
  const Pixels out = decode_png(image_panels_png({{"small", small, 2}, {"large", large, 10}}));
  ASSERT_EQ(out.channels, 3);
  struct Box {
    int64_t left = 1 << 20, right = -1, top = 1 << 20, bottom = -1, count = 0;
  };
  const auto box_of = [&](int grey) {
    Box box;
    for (int64_t y = 40; y < out.height; ++y)  // below the titles
      for (int64_t x = 0; x < out.width; ++x) {
        const uint8_t* p = &out.values[static_cast<size_t>((y * out.width + x) * 3)];
        if (p[0] != grey || p[1] != grey || p[2] != grey) continue;
        box.left = std::min(box.left, x), box.right = std::max(box.right, x);
        box.top = std::min(box.top, y), box.bottom = std::max(box.bottom, y);
        ++box.count;
      }
    return box;
  };
  const Box a = box_of(10), b = box_of(200);
  EXPECT_EQ(a.count, 840 * 840) << "2 x 2 of 28 pixels, 15-fold";
  EXPECT_EQ(b.count, 840 * 600) << "10 x 10 of 28 x 20 pixels, threefold";
  EXPECT_EQ(a.top, b.top);
  EXPECT_EQ(a.bottom, b.bottom);
  EXPECT_LT(a.right, b.left);
}

TEST(ImagePanels, SvgHoldsAPictureAPanel) {
  const at::Tensor small = at::full({4, 28, 28}, 10, at::kByte);
  const auto svg = image_panels_svg({{"small", small, 2}, {"again", small, 2}});
  const std::string text(reinterpret_cast<const char*>(svg.data()), svg.size());
  size_t pictures = 0;
  for (size_t at = text.find("data:image/png"); at != std::string::npos;
       at = text.find("data:image/png", at + 1))
    ++pictures;
  EXPECT_EQ(pictures, 2U);
  EXPECT_NE(text.find("height=\"840\""), std::string::npos) << "2 x 2 of 28 pixels, 15-fold";
  EXPECT_THROW((void)image_panels_svg({}), ShapeError);
}

TEST(ImagePanels, Refuses) {
  EXPECT_THROW((void)image_panels_png({}), ShapeError);
  EXPECT_THROW((void)image_panels_png({{"flat", at::zeros({2, 4})}}), ShapeError);
  EXPECT_THROW((void)image_panels_png({{"none", at::zeros({1, 4, 4}), 0}}), DomainError);
}

}  // namespace
}  // namespace elbo::plotting
