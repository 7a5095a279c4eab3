#include "elbo/plotting/chart_grid.h"

#include <gtest/gtest.h>

#include <limits>

#include "elbo/error.h"
#include "plotting/decode_png.h"

namespace elbo::plotting {
namespace {

constexpr std::array<int, 3> kBlue = {0, 114, 178}, kOrange = {213, 94, 0};

struct Box {
  int64_t left = std::numeric_limits<int64_t>::max(), right = -1, top = left, bottom = -1;
  int64_t count = 0;
};

/// Where a colour is between two columns of pixels, below the legend.
Box box_of(const Pixels& image, const std::array<int, 3>& colour, int64_t from, int64_t to) {
  Box box;
  for (int64_t y = 60; y < image.height; ++y)
    for (int64_t x = from; x < std::min(to, image.width); ++x) {
      const uint8_t* p = &image.values[static_cast<size_t>((y * image.width + x) * 3)];
      bool same = true;
      for (size_t c = 0; c < 3; ++c) same = same && std::abs(p[c] - colour[c]) <= 10;
      if (!same) continue;
      box.left = std::min(box.left, x), box.right = std::max(box.right, x);
      box.top = std::min(box.top, y), box.bottom = std::max(box.bottom, y);
      ++box.count;
    }
  return box;
}

constexpr ChartGridOptions kOptions{.log_x = true, .pixel_ratio = 1};

Pixels draw(const std::vector<ChartRow>& rows) {
  return decode_png(chart_grid_png(rows, kOptions));
}

TEST(ChartGrid, PanelsOfARowShareTheirScales) {
  const ChartPanel tall{"a", {{"one", {1e3, 1e5}, {0, 100}}}};
  const ChartPanel low{"b", {{"one", {1e3, 1e4}, {0, 50}}}};
  const Pixels image = draw({{.panels = {tall, low}}});
  const int64_t middle = image.width / 2;
  const Box a = box_of(image, kBlue, 0, middle), b = box_of(image, kBlue, middle, image.width);
  EXPECT_NEAR(a.bottom, b.bottom, 1);
  EXPECT_NEAR(b.bottom - b.top, (a.bottom - a.top) / 2, 5) << "half as high";
  EXPECT_NEAR(b.right - b.left, (a.right - a.left) / 2, 5) << "half of the decades";
}

TEST(ChartGrid, RowsHaveScalesOfTheirOwnAndMayBeShorter) {
  const ChartPanel tall{"a", {{"one", {1e3, 1e5}, {0, 100}}}};
  const ChartPanel low{"b", {{"one", {1e3, 1e5}, {0, 1}}}};
  const Pixels image =
      draw({{.title = "first", .panels = {tall, tall}}, {.title = "second", .panels = {low}}});
  const int64_t middle = image.width / 2;
  const Box left = box_of(image, kBlue, 0, middle), right = box_of(image, kBlue, middle, 10000);
  EXPECT_GT(left.bottom, right.bottom + 150) << "two panels below each other";
  EXPECT_NEAR(left.top, right.top, 1);
}

TEST(ChartGrid, AxesBeginWhereTheyAreTold) {
  const ChartPanel panel{"a", {{"one", {1e3, 1e4, 1e5, 1e6}, {-900, -200, -110, -100}}}};
  const Box whole = box_of(draw({{.panels = {panel}}}), kBlue, 0, 10000);
  const Box cut =
      box_of(draw({{.panels = {panel}, .x_from = 1e5, .y_from = -150}}), kBlue, 0, 10000);
  EXPECT_LT(cut.bottom, whole.bottom - 20) << "from -120 or so where the line enters";
  EXPECT_LT(cut.left, whole.left + 10);
  const Box same = box_of(draw({{.panels = {panel}, .x_from = 1e9, .y_from = 0}}), kBlue, 0, 10000);
  EXPECT_EQ(same.count, whole.count) << "a floor above all points is not used";
}

TEST(ChartGrid, SeriesMayChooseTheirLook) {
  const auto with = [](int colour, bool dashed) {
    return draw({{.panels = {{"a", {{"one", {1, 1e5}, {0, 9}, colour, dashed}}}}}});
  };
  EXPECT_EQ(box_of(with(1, false), kBlue, 0, 10000).count, 0);
  const auto solid = box_of(with(1, false), kOrange, 0, 10000).count;
  const auto dashed = box_of(with(1, true), kOrange, 0, 10000).count;
  EXPECT_GT(dashed, solid / 3);
  EXPECT_LT(dashed, solid * 4 / 5);
}

TEST(ChartGrid, ABandIsShadedBetweenItsEdges) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto with = [](std::vector<double> low, std::vector<double> high) {
    Series one{"one", {1, 10, 100, 1000}, {4, 4, 4, 4}};
    one.low = std::move(low), one.high = std::move(high);
    // Another series holds the axes still.
    return draw({{.panels = {{"a", {one, {"", {1, 1000}, {0, 8}, 1}}}}, .y_from = 0}});
  };
  constexpr std::array<int, 3> kShade = {209, 230, 241};  // 0.18 of the curve's blue on white
  // One column of pixels between the first two points, and one between the next two.
  const auto first = [&](const Pixels& image) { return box_of(image, kShade, 87, 88); };
  const auto second = [&](const Pixels& image) { return box_of(image, kShade, 182, 183); };
  EXPECT_EQ(first(with({}, {})).count, 0);
  const Pixels narrow = with({3, 3, 3, 3}, {5, 5, 5, 5}), wide = with({2, 2, 2, 2}, {6, 6, 6, 6});
  const Box a = first(narrow), b = first(wide);
  EXPECT_GT(a.count, 20);
  EXPECT_NEAR(b.bottom - b.top, 2 * (a.bottom - a.top), 4);
  EXPECT_GT(second(narrow).count, 20);
  const Pixels half = with({3, 3, nan, 3}, {5, 5, 5, 5});
  EXPECT_EQ(first(half).count, a.count);
  EXPECT_EQ(second(half).count, 0) << "where an edge is unknown there is no band";
}

/// How often `part` is in a file.
size_t count_of(const std::vector<std::byte>& file, const std::string& part) {
  const std::string text(reinterpret_cast<const char*>(file.data()), file.size());
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ChartGrid, SvgHasTheSameCurvesInLayoutUnits) {
  const ChartPanel panel{"a", {{"one", {1, 1e5}, {0, 9}}, {"two", {1, 1e5}, {1, 2}}}};
  ChartGridOptions options = kOptions;
  const auto svg = chart_grid_svg({{.panels = {panel, panel}}}, options);
  const Pixels png = draw({{.panels = {panel, panel}}});
  EXPECT_EQ(count_of(svg, "<?xml"), 1U);
  EXPECT_GE(count_of(svg, "width=\"" + std::to_string(png.width)), 1U);
  EXPECT_EQ(count_of(svg, "</svg>"), 1U);
  EXPECT_EQ(count_of(svg, "<image"), 0U) << "lines, not pixels";
  options.pixel_ratio = 3;
  // The names inside count up from one picture to the next.
  EXPECT_NEAR(static_cast<double>(chart_grid_svg({{.panels = {panel, panel}}}, options).size()),
              static_cast<double>(svg.size()), 0.01 * static_cast<double>(svg.size()))
      << "it has no pixels";
  const ChartPanel less{"a", {{"one", {1, 1e5}, {0, 9}}}};
  EXPECT_LT(chart_grid_svg({{.panels = {less, less}}}, options).size(), svg.size());
}

TEST(ChartGrid, APanelWithoutPointsLeavesTheOthersAsTheyAre) {
  const ChartPanel some{"a", {{"one", {1, 10}, {1, 2}}}};
  const Pixels image = draw({{.panels = {some, {"b", {{"one", {}, {}}}}}}});
  EXPECT_GT(box_of(image, kBlue, 0, image.width / 2).count, 100);
  EXPECT_EQ(box_of(image, kBlue, image.width / 2, 10000).count, 0);
  EXPECT_NO_THROW((void)draw({{.panels = {{"none", {}}}}}));
}

TEST(ChartGrid, Refuses) {
  EXPECT_THROW((void)chart_grid_png({}, {}), ShapeError);
  EXPECT_THROW((void)chart_grid_png({{.title = "no panels"}}, {}), ShapeError);
  const ChartRow torn{.panels = {{"a", {{"one", {1, 2}, {1}}}}}};
  EXPECT_THROW((void)chart_grid_png({torn}, {}), ShapeError);
  EXPECT_THROW((void)chart_grid_svg({torn}, {}), ShapeError);
  ChartRow band{.panels = {{"a", {{"one", {1, 2}, {1, 2}}}}}};
  band.panels[0].series[0].low = {0, 1};
  EXPECT_THROW((void)chart_grid_png({band}, {}), ShapeError);
  const ChartRow good{.panels = {{"a", {{"one", {1, 2}, {1, 2}}}}}};
  EXPECT_THROW((void)chart_grid_png({good}, {.panel_width = 20}), DomainError);
  EXPECT_THROW((void)chart_grid_png({good}, {.panel_width = 9000}), DomainError);
}

}  // namespace
}  // namespace elbo::plotting
