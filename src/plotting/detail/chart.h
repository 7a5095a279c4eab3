// What charts of one and of many panels have in common: axes, grid lines, curves, a legend.
#pragma once

#include <optional>
#include <vector>

#include "elbo/plotting/line_chart.h"
#include "plotting/detail/canvas.h"

namespace elbo::plotting::detail {

constexpr Colour kText = {0.13, 0.15, 0.18};
constexpr Colour kQuietText = {0.36, 0.39, 0.44};

struct Range {
  double low = 0;
  double high = 1;
};

/// What the axes span; x as its decimal logarithm on a log axis.
struct Axes {
  Range x, y;
};

/// Of a plot with the numbers on its left; those below it take another 24 units.
struct Area {
  double left, top, right, bottom;
};

/// Throws ShapeError, beginning with `function`, where x, y and the band differ in length.
void check_lengths(const Series& series, const std::string& function);

/// Spans for all points that can be drawn; nothing where there are none.
[[nodiscard]] std::optional<Axes> axes_of(const std::vector<Series>& series,
                                          const ChartOptions& options);

/// Numbers in the canvas's present font, grid lines, and the curves, cut off at the axes' ends.
void draw_plot(const Canvas& canvas, const Area& area, const Axes& axes,
               const std::vector<Series>& series, const ChartOptions& options);

/// One row of names with a stroke of their colour; names that no longer fit are left out.
void draw_legend(const Canvas& canvas, const std::vector<Series>& series, double x, double y,
                 double right);

}  // namespace elbo::plotting::detail
