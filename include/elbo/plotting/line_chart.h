// Line charts, for training curves.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace elbo::plotting {

/// x and y have one length; a point where either is not finite is skipped, and breaks the line.
struct Series {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;
  int colour = -1;  ///< which of the palette's seven; -1: by its place among the series
  bool dashed = false;
  /// A shaded band from `low` to `high` around the curve, of y's length; or none.
  std::vector<double> low = {}, high = {};
};

struct ChartOptions {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  bool log_x = false;  ///< points with x <= 0 are skipped
  int width = 900;     ///< in layout units; the PNG has pixel_ratio pixels to each
  int height = 540;
  /// Below this quantile of all y the axis may be cut off, when a steep start would otherwise
  /// flatten the rest; 0 shows everything.
  double y_quantile_low = 0.05;
  int pixel_ratio = 2;
  /// Where the axes begin, whatever lies before or below; not used where all points do.
  std::optional<double> x_from = {}, y_from = {};
};

/// An 8-bit RGB PNG of the chart on white, in colours that colour-blind readers can tell apart.
/// Throws: ShapeError when a series' x and y differ in length, DomainError for a chart smaller than
/// 200 x 150 or larger than 16000 pixels.
[[nodiscard]] std::vector<std::byte> line_chart_png(const std::vector<Series>& series,
                                                    const ChartOptions& options);

}  // namespace elbo::plotting
