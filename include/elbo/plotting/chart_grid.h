// Small multiples: line charts side by side, in rows that share their axes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "elbo/plotting/line_chart.h"

namespace elbo::plotting {

struct ChartPanel {
  std::string title;
  std::vector<Series> series;  ///< names are shown once for the whole grid
};

/// Panels on the same scales, so that they can be compared at sight.
struct ChartRow {
  std::string title = {};
  std::vector<ChartPanel> panels = {};
  std::optional<double> x_from = {}, y_from = {};  ///< as in ChartOptions
};

struct ChartGridOptions {
  std::string title = {};
  std::string x_label = {};
  bool log_x = false;
  int panel_width = 290;  ///< in layout units; the PNG has pixel_ratio pixels to each
  int panel_height = 230;
  int pixel_ratio = 2;
};

/// An 8-bit RGB PNG of the grid on white; a panel without points says so.
/// Throws: ShapeError when a series' x, y and band differ in length, or there is no panel;
/// DomainError for panels smaller than 120 x 100, or a picture of more than 16000 pixels either
/// way.
[[nodiscard]] std::vector<std::byte> chart_grid_png(const std::vector<ChartRow>& rows,
                                                    const ChartGridOptions& options);

/// The same as SVG, letters as outlines: it needs no font.
[[nodiscard]] std::vector<std::byte> chart_grid_svg(const std::vector<ChartRow>& rows,
                                                    const ChartGridOptions& options);

}  // namespace elbo::plotting
