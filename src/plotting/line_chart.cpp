#include "elbo/plotting/line_chart.h"

#include <algorithm>

#include "elbo/error.h"
#include "plotting/detail/chart.h"

namespace elbo::plotting {
namespace {

using detail::Align;
using detail::Canvas;

void check(const std::vector<Series>& series, const ChartOptions& options) {
  for (const Series& one : series) detail::check_lengths(one, "line_chart_png");
  constexpr int kLargest = 16000;
  if (options.width < 200 || options.height < 150 || options.pixel_ratio < 1 ||
      options.width > kLargest / options.pixel_ratio ||
      options.height > kLargest / options.pixel_ratio) {
    throw DomainError("line_chart_png: size " + std::to_string(options.width) + " x " +
                      std::to_string(options.height) + "; expected 200 x 150 to 16000 pixels");
  }
}

}  // namespace

std::vector<std::byte> line_chart_png(const std::vector<Series>& series,
                                      const ChartOptions& options) {
  check(series, options);
  const auto axes = detail::axes_of(series, options);
  const Canvas canvas(options.width, options.height, options.pixel_ratio);
  const double width = options.width;
  const double height = options.height;
  constexpr double kMargin = 24;
  double top = kMargin;
  canvas.colour(detail::kText);
  if (!options.title.empty()) {
    canvas.font(18, /*bold=*/true);
    canvas.text(kMargin, top + 14, options.title);
    top += 34;
  }
  const bool named = std::any_of(series.begin(), series.end(),
                                 [](const Series& one) { return !one.name.empty(); });
  canvas.font(13);
  if (named) {
    detail::draw_legend(canvas, series, kMargin, top + 10, width - kMargin);
    top += 28;
  }
  canvas.font(12.5);
  canvas.colour(detail::kQuietText);
  if (!options.y_label.empty()) {
    // Above the axis and level, where it is read without tilting one's head.
    canvas.text(kMargin, top + 10, options.y_label);
    top += 24;
  }
  if (!options.x_label.empty()) {
    canvas.text(width - kMargin, height - 16, options.x_label, Align::kRight);
  }
  if (!axes) {
    canvas.text(width / 2, (top + height) / 2, "no data", Align::kCentre);
    return encode_png(canvas.pixels());
  }

  detail::draw_plot(canvas,
                    {.left = kMargin,
                     .top = top + 6,
                     .right = width - kMargin - 8,
                     .bottom = height - (options.x_label.empty() ? 40 : 60)},
                    *axes, series, options);
  return encode_png(canvas.pixels());
}

}  // namespace elbo::plotting
