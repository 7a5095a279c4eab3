#include "elbo/plotting/chart_grid.h"

#include <algorithm>
#include <set>

#include "elbo/error.h"
#include "plotting/detail/chart.h"

namespace elbo::plotting {
namespace {

using detail::Align;
using detail::Canvas;

constexpr double kMargin = 24, kGap = 18;
constexpr double kRowTitle = 30, kPanelTitle = 24, kNumbers = 28;

void check(const std::vector<ChartRow>& rows, const ChartGridOptions& options, size_t columns) {
  if (columns == 0) throw ShapeError("chart_grid: no panels");
  for (const ChartRow& row : rows)
    for (const ChartPanel& panel : row.panels)
      for (const Series& one : panel.series)
        detail::check_lengths(one, "chart_grid: panel '" + panel.title + "'");
  if (options.panel_width < 120 || options.panel_height < 100 || options.pixel_ratio < 1)
    throw DomainError("chart_grid: panels of " + std::to_string(options.panel_width) + " x " +
                      std::to_string(options.panel_height) + "; expected 120 x 100 or more");
}

/// Each name once, with the look of its first series.
std::vector<Series> legend_of(const std::vector<ChartRow>& rows) {
  std::vector<Series> legend;
  std::set<std::string> seen;
  for (const ChartRow& row : rows)
    for (const ChartPanel& panel : row.panels)
      for (size_t i = 0; i < panel.series.size(); ++i) {
        const Series& one = panel.series[i];
        if (one.name.empty() || !seen.insert(one.name).second) continue;
        const int colour = one.colour >= 0 ? one.colour : static_cast<int>(i);
        legend.push_back(
            {.name = one.name, .x = {}, .y = {}, .colour = colour, .dashed = one.dashed});
      }
  return legend;
}

void draw_row(const Canvas& canvas, const ChartRow& row, const ChartGridOptions& options,
              double top) {
  const ChartOptions look{.log_x = options.log_x, .x_from = row.x_from, .y_from = row.y_from};
  std::vector<Series> all;
  for (const ChartPanel& panel : row.panels)
    all.insert(all.end(), panel.series.begin(), panel.series.end());
  const auto axes = detail::axes_of(all, look);
  double left = kMargin;
  for (const ChartPanel& panel : row.panels) {
    const double right = left + options.panel_width;
    canvas.colour(detail::kText);
    canvas.font(12.5, /*bold=*/true);
    canvas.text((left + right) / 2 + 12, top + 14, panel.title, Align::kCentre);
    canvas.font(11);
    const double bottom = top + options.panel_height - kNumbers;
    if (detail::axes_of(panel.series, look)) {
      detail::draw_plot(
          canvas, {.left = left, .top = top + kPanelTitle, .right = right - 8, .bottom = bottom},
          *axes, panel.series, look);
    } else {
      canvas.colour(detail::kQuietText);
      canvas.text((left + right) / 2, (top + bottom) / 2, "no data", Align::kCentre);
    }
    left = right + kGap;
  }
}

std::vector<std::byte> chart_grid(const std::vector<ChartRow>& rows,
                                  const ChartGridOptions& options, detail::Format format) {
  size_t columns = 0;
  double height =
      kMargin + (options.title.empty() ? 0 : 34) + (options.x_label.empty() ? 0 : 24) + 12;
  const auto legend = legend_of(rows);
  if (!legend.empty()) height += 30;
  for (const ChartRow& row : rows) {
    columns = std::max(columns, row.panels.size());
    height += options.panel_height + kGap + (row.title.empty() ? 0 : kRowTitle);
  }
  check(rows, options, columns);
  const double width =
      2 * kMargin + static_cast<double>(columns) * (options.panel_width + kGap) - kGap;
  if (std::max(width, height) * options.pixel_ratio > 16000)
    throw DomainError("chart_grid: " + std::to_string(rows.size()) + " rows and " +
                      std::to_string(columns) + " columns take more than 16000 pixels");

  Canvas canvas(static_cast<int>(width), static_cast<int>(height), options.pixel_ratio, format);
  double top = kMargin;
  canvas.colour(detail::kText);
  if (!options.title.empty()) {
    canvas.font(18, /*bold=*/true);
    canvas.text(kMargin, top + 14, options.title);
    top += 34;
  }
  if (!legend.empty()) {
    canvas.font(13);
    detail::draw_legend(canvas, legend, kMargin, top + 10, width - kMargin);
    top += 30;
  }
  for (const ChartRow& row : rows) {
    if (!row.title.empty()) {
      canvas.font(14, /*bold=*/true);
      canvas.colour(detail::kText);
      canvas.text(kMargin, top + 16, row.title);
      top += kRowTitle;
    }
    draw_row(canvas, row, options, top);
    top += options.panel_height + kGap;
  }
  if (!options.x_label.empty()) {
    canvas.font(12.5);
    canvas.colour(detail::kQuietText);
    canvas.text(width - kMargin, height - 14, options.x_label, Align::kRight);
  }
  return canvas.file();
}

}  // namespace

std::vector<std::byte> chart_grid_png(const std::vector<ChartRow>& rows,
                                      const ChartGridOptions& options) {
  return chart_grid(rows, options, detail::Format::kPng);
}

std::vector<std::byte> chart_grid_svg(const std::vector<ChartRow>& rows,
                                      const ChartGridOptions& options) {
  return chart_grid(rows, options, detail::Format::kSvg);
}

}  // namespace elbo::plotting
