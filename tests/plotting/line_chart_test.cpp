#include "elbo/plotting/line_chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "elbo/error.h"
#include "plotting/decode_png.h"

namespace elbo::plotting {
namespace {

struct Box {
  int64_t left = std::numeric_limits<int64_t>::max(), right = -1, top = left, bottom = -1;
  int64_t count = 0;
};

/// Where the first series' blue is.
Box blue_of(const Pixels& image) {
  Box box;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      const uint8_t* p = &image.values[(y * image.width + x) * 3];
      if (p[0] > 10 || std::abs(p[1] - 114) > 10 || std::abs(p[2] - 178) > 10) continue;
      box.left = std::min(box.left, x), box.right = std::max(box.right, x);
      box.top = std::min(box.top, y), box.bottom = std::max(box.bottom, y);
      ++box.count;
    }
  }
  return box;
}

Pixels draw(const Series& series, ChartOptions options = {}) {
  return decode_png(line_chart_png({series}, options));
}

TEST(LineChart, LineSpansThePlot) {
  const Pixels image = draw({"", {0, 1, 2, 3}, {0, 1, 2, 3}});
  EXPECT_EQ(image.width, 1800);
  EXPECT_EQ(image.height, 1080);
  const Box blue = blue_of(image);
  EXPECT_LT(blue.left, 150);
  EXPECT_GT(blue.right, 1700);
  EXPECT_LT(blue.top, 120);
  EXPECT_GT(blue.bottom, 900);
}

TEST(LineChart, NotFiniteAndNonPositivePointsAreSkipped) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const Pixels plain = draw({"", {1, 10, 100}, {1, 3, 2}}, {.log_x = true});
  const Pixels with =
      draw({"", {nan, -1, 0, 1, 10, 100, 1000, inf}, {0, 9, 9, 1, 3, 2, nan, 1}}, {.log_x = true});
  EXPECT_EQ(plain.values, with.values);
  const Box broken = blue_of(draw({"", {0, 1, 2}, {0, nan, 2}}));
  EXPECT_LT(broken.count, 300) << "two markers, no line across the gap";
}

TEST(LineChart, SteepStartIsCutOff) {
  Series series{"", {}, {}};
  for (int i = 0; i < 20; ++i) {
    series.x.push_back(i);
    series.y.push_back(i == 0 ? -550 : -100 - 40.0 / (i + 1));
  }
  const Box cut = blue_of(draw(series));
  const Box whole = blue_of(draw(series, {.y_quantile_low = 0}));
  // Without the cut the curve after its first point takes a tenth of the height.
  const Pixels image = draw(series);
  Box late;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 300; x < image.width; ++x) {
      const uint8_t* p = &image.values[(y * image.width + x) * 3];
      if (p[0] < 10 && p[2] > 150) late.top = std::min(late.top, y), late.bottom = y;
    }
  }
  EXPECT_GT(late.bottom - late.top, 300);
  EXPECT_GT(whole.bottom - whole.top, 700);
  EXPECT_GT(cut.count, 0);
}

TEST(LineChart, DegenerateDataIsDrawn) {
  for (const auto& options : {ChartOptions{}, ChartOptions{.log_x = true}}) {
    EXPECT_NO_THROW((void)line_chart_png({}, options));
    EXPECT_NO_THROW((void)draw({"empty", {}, {}}, options));
    EXPECT_GT(blue_of(draw({"one", {5}, {-3}}, options)).count, 20);
    EXPECT_GT(blue_of(draw({"flat", {1, 2}, {0, 0}}, options)).count, 20);
    EXPECT_GT(blue_of(draw({"huge", {1, 1e300}, {-1e300, 1e300}}, options)).count, 20);
    EXPECT_GT(blue_of(draw({"tiny", {1e-300, 2e-300}, {1e-300, 3e-300}}, options)).count, 20);
    EXPECT_NO_THROW((void)draw({"close", {1, std::nextafter(1.0, 2.0)}, {1, 2}}, options));
    EXPECT_NO_THROW((void)draw({"span", {-1.7e308, 1.7e308}, {-1.7e308, 1.7e308}}, options));
  }
}

TEST(LineChart, Refuses) {
  EXPECT_THROW((void)line_chart_png({{"a", {1, 2}, {1}}}, {}), ShapeError);
  EXPECT_THROW((void)line_chart_png({}, {.width = 10}), DomainError);
  EXPECT_THROW((void)line_chart_png({}, {.width = 9000}), DomainError);
}

}  // namespace
}  // namespace elbo::plotting
