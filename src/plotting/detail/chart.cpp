#include "plotting/detail/chart.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numbers>

namespace elbo::plotting::detail {
namespace {

// Okabe and Ito's palette, the strongest on white first.
constexpr std::array<Colour, 7> kPalette = {{{0.000, 0.447, 0.698},
                                             {0.835, 0.369, 0.000},
                                             {0.000, 0.620, 0.451},
                                             {0.800, 0.475, 0.655},
                                             {0.902, 0.624, 0.000},
                                             {0.337, 0.706, 0.914},
                                             {0.200, 0.200, 0.200}}};
constexpr Colour kGrid = {0.90, 0.91, 0.93};
constexpr Colour kAxis = {0.62, 0.65, 0.70};

struct Tick {
  double value;
  std::string text;
};

/// Calls `use(x, y)` for each point that can be drawn, `gap()` for each that cannot.
template <typename Use, typename Gap>
void for_each_point(const Series& series, bool log_x, Use use, Gap gap) {
  for (size_t i = 0; i < series.x.size(); ++i) {
    const double x = series.x[i];
    const double y = series.y[i];
    // Not beyond 1e300, so that differences are finite too; NaN compares false.
    constexpr double kLargest = 1e300;
    if (std::abs(x) <= kLargest && std::abs(y) <= kLargest && (!log_x || x > 0)) {
      use(log_x ? std::log10(x) : x, y);
    } else {
      gap();
    }
  }
}

Range widen_if_empty(Range range) {
  if (range.high > range.low) return range;
  const double margin = range.low == 0 ? 1 : 0.05 * std::abs(range.low);
  return {range.low - margin, range.high + margin};
}

/// From the lowest value worth showing to the largest. The lowest few (a share, and at least one a
/// series) are cut off when they would take more than a third of the axis for themselves.
Range y_range(std::vector<double> values, size_t series, double share) {
  std::sort(values.begin(), values.end());
  const double low = values.front();
  const double high = values.back();
  if (share <= 0 || values.size() < 4 * series) return widen_if_empty({low, high});
  const auto cut =
      std::max(series, static_cast<size_t>(std::ceil(share * static_cast<double>(values.size()))));
  const double kept = values[std::min(cut, values.size() - 1)];
  constexpr double kWorthCutting = 1.0 / 3;
  const bool steep = kept - low > kWorthCutting * (high - low);
  return widen_if_empty({steep ? kept : low, high});
}

/// The nearest of 1, 2, 5 times a power of ten that gives at most `most` steps.
double nice_step(double span, int most) {
  const double power = std::pow(10.0, std::floor(std::log10(span / most)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (span / (factor * power) <= most) return factor * power;
  }
  return 10 * power;
}

/// `value` with the decimals that `step` needs, a true minus sign, and k, M or G from 10,000 on.
std::string label(double value, double step, double largest) {
  const char* suffix = "";
  double unit = 1;
  if (largest >= 1e9) {
    unit = 1e9, suffix = "G";
  } else if (largest >= 1e6) {
    unit = 1e6, suffix = "M";
  } else if (largest >= 1e4) {
    unit = 1e3, suffix = "k";
  }
  const double shown = std::abs(value) < step * 1e-6 ? 0 : value / unit;
  const int decimals =
      std::clamp(static_cast<int>(std::ceil(-std::log10(step / unit) - 1e-9)), 0, 12);
  std::array<char, 400> buffer;  // a double needs at most 309 digits before its point
  const bool plain = largest < 1e15 && largest >= 1e-5;
  const auto written = plain ? std::to_chars(buffer.begin(), buffer.end(), std::abs(shown),
                                             std::chars_format::fixed, decimals)
                             : std::to_chars(buffer.begin(), buffer.end(), std::abs(value),
                                             std::chars_format::scientific, 1);
  const std::string digits(buffer.data(), written.ptr);
  if (shown == 0) return "0";
  return (value < 0 ? "\u2212" : "") + digits + (plain ? suffix : "");
}

std::vector<Tick> linear_ticks(const Range& range, int most, double smallest_step = 0) {
  const double step = std::max(smallest_step, nice_step(range.high - range.low, most));
  const double largest = std::max(std::abs(range.low), std::abs(range.high));
  std::vector<Tick> ticks;
  const double first = std::ceil(range.low / step - 1e-9);
  for (int i = 0; i <= most; ++i) {
    const double value = (first + i) * step;
    if (value > range.high + 1e-9 * step) break;
    ticks.push_back({value, label(value, step, largest)});
  }
  return ticks;
}

/// Ticks at powers of ten, and at 2 and 5 times them where there is room for all.
std::vector<Tick> log_ticks(const Range& range, int most) {
  const double decades = range.high - range.low;
  const bool between = 3 * decades + 1 <= most || decades < 1;
  std::vector<Tick> ticks;
  const double stride = std::max(1.0, std::ceil(decades / std::max(3, most) - 0.01));
  for (double power = std::floor(range.low); power <= range.high; power += stride) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1 && !between) continue;
      const double at = power + std::log10(factor);
      if (at < range.low - 1e-9 || at > range.high + 1e-9) continue;
      const double value = factor * std::pow(10.0, power);
      ticks.push_back({at, label(value, value, value)});
    }
  }
  return ticks.size() >= 2 ? ticks : std::vector<Tick>{{range.low, ""}, {range.high, ""}};
}

size_t colour_of(const Series& series, size_t index) {
  return series.colour >= 0 ? static_cast<size_t>(series.colour) : index;
}

bool is_dashed(const Series& series, size_t index) {
  return series.dashed || colour_of(series, index) >= kPalette.size();
}

struct Plot {
  double left, top, right, bottom;  // the area of the data, in layout units
  Range x, y;

  [[nodiscard]] double to_x(double value) const {
    return left + (value - x.low) / (x.high - x.low) * (right - left);
  }
  [[nodiscard]] double to_y(double value) const {
    // Bounded, since cairo's coordinates overflow some way outside of the picture.
    const double share = std::clamp((value - y.low) / (y.high - y.low), -10.0, 11.0);
    return bottom - share * (bottom - top);
  }
};

/// Between `low` and `high`, as far as both are finite; pieces of one point are not drawn.
void draw_band(const Canvas& canvas, const Plot& plot, const Series& series, bool log_x,
               const Colour& colour) {
  constexpr double kOpacity = 0.18;
  cairo_t* context = canvas.context();
  canvas.colour(colour, kOpacity);
  std::vector<std::pair<double, double>> upper, lower;
  const auto close = [&] {
    for (const auto& [x, y] : upper) cairo_line_to(context, x, y);
    for (auto p = lower.rbegin(); p != lower.rend(); ++p)
      cairo_line_to(context, p->first, p->second);
    cairo_fill(context);
    upper.clear();
    lower.clear();
  };
  for (size_t i = 0; i < series.low.size(); ++i) {
    const size_t whole = upper.size();
    const auto add = [&](const std::vector<double>& y, auto& to) {
      for_each_point(
          {.name = {}, .x = {series.x[i]}, .y = {y[i]}}, log_x,
          [&](double at_x, double at_y) { to.emplace_back(plot.to_x(at_x), plot.to_y(at_y)); },
          [] {});
    };
    add(series.high, upper);
    add(series.low, lower);
    if (upper.size() > whole && lower.size() > whole) continue;
    upper.resize(whole);
    lower.resize(whole);
    close();
  }
  close();
}

void draw_series(const Canvas& canvas, const Plot& plot, const Series& series, bool log_x,
                 const Colour& colour, bool dashed) {
  cairo_t* context = canvas.context();
  cairo_save(context);
  constexpr double kOverhang = 4;  // room for markers and for half the line's width at the edge
  cairo_rectangle(context, plot.left - kOverhang, plot.top - kOverhang,
                  plot.right - plot.left + 2 * kOverhang, plot.bottom - plot.top + kOverhang);
  cairo_clip(context);
  draw_band(canvas, plot, series, log_x, colour);
  canvas.colour(colour);
  cairo_set_line_width(context, 2.2);
  cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND);
  cairo_set_line_cap(context, CAIRO_LINE_CAP_ROUND);
  const double dashes[] = {7, 5};
  if (dashed) cairo_set_dash(context, dashes, 2, 0);
  bool started = false;
  size_t points = 0;
  for_each_point(
      series, log_x,
      [&](double x, double y) {
        (started ? cairo_line_to : cairo_move_to)(context, plot.to_x(x), plot.to_y(y));
        started = true;
        ++points;
      },
      [&] { started = false; });
  cairo_stroke(context);
  constexpr size_t kFewPoints = 30;
  if (points <= kFewPoints) {
    for_each_point(
        series, log_x,
        [&](double x, double y) {
          cairo_arc(context, plot.to_x(x), plot.to_y(y), 3.2, 0, 2 * std::numbers::pi);
          cairo_fill(context);
        },
        [] {});
  }
  cairo_restore(context);
}

}  // namespace

void draw_legend(const Canvas& canvas, const std::vector<Series>& series, double x, double y,
                 double right) {
  constexpr double kStroke = 22;
  for (size_t i = 0; i < series.size(); ++i) {
    const double width = canvas.text_width(series[i].name);
    if (x + kStroke + 7 + width > right) break;
    canvas.colour(kPalette[colour_of(series[i], i) % kPalette.size()]);
    const double dashes[] = {5, 4};
    if (is_dashed(series[i], i)) cairo_set_dash(canvas.context(), dashes, 2, 0);
    canvas.line(x, y - 4.5, x + kStroke, y - 4.5, 3);
    cairo_set_dash(canvas.context(), nullptr, 0, 0);
    canvas.colour(kText);
    canvas.text(x + kStroke + 7, y, series[i].name);
    x += kStroke + 7 + width + 24;
  }
}

void check_lengths(const Series& series, const std::string& function) {
  const auto count = [](const std::vector<double>& v) { return std::to_string(v.size()); };
  const auto fits = [&](const std::vector<double>& v) { return v.size() == series.y.size(); };
  if (!fits(series.x))
    throw ShapeError(function + ": series '" + series.name + "' has " + count(series.x) +
                     " x and " + count(series.y) + " y");
  if (!(series.low.empty() && series.high.empty()) && !(fits(series.low) && fits(series.high)))
    throw ShapeError(function + ": series '" + series.name + "' has a band of " +
                     count(series.low) + " and " + count(series.high) + " points; expected " +
                     count(series.y));
}

std::optional<Axes> axes_of(const std::vector<Series>& series, const ChartOptions& options) {
  const double left = !options.x_from ? -std::numeric_limits<double>::infinity()
                      : options.log_x ? std::log10(*options.x_from)
                                      : *options.x_from;
  std::vector<double> xs, ys;
  size_t drawn_series = 0;
  for (const Series& one : series) {
    const size_t before = xs.size();
    for_each_point(
        one, options.log_x,
        [&](double x, double y) {
          if (x < left) return;
          xs.push_back(x);
          ys.push_back(y);
        },
        [] {});
    for (const auto* edge : {&one.low, &one.high})
      for_each_point(
          {.name = {}, .x = edge->empty() ? std::vector<double>{} : one.x, .y = *edge},
          options.log_x,
          [&](double x, double y) {
            if (x >= left) ys.push_back(y);
          },
          [] {});
    drawn_series += xs.size() > before ? 1 : 0;
  }
  if (xs.empty() && options.x_from) {
    ChartOptions all = options;
    all.x_from.reset();
    return axes_of(series, all);
  }
  if (xs.empty()) return {};
  const auto [x_low, x_high] = std::minmax_element(xs.begin(), xs.end());
  Axes axes{.x = widen_if_empty({options.x_from ? left : *x_low, *x_high}),
            .y = y_range(ys, drawn_series, options.y_quantile_low)};
  const double highest = *std::max_element(ys.begin(), ys.end());
  const bool cut = options.y_from && *options.y_from < highest;
  if (cut) axes.y = {*options.y_from, highest};
  const double headroom = 0.04 * (axes.y.high - axes.y.low);
  axes.y = {axes.y.low - (cut ? 0 : headroom), axes.y.high + headroom};
  return axes;
}

void draw_plot(const Canvas& canvas, const Area& area, const Axes& axes,
               const std::vector<Series>& series, const ChartOptions& options) {
  Plot plot{.left = 0,
            .top = area.top,
            .right = area.right,
            .bottom = area.bottom,
            .x = axes.x,
            .y = axes.y};
  const std::vector<Tick> y_ticks =
      linear_ticks(plot.y, std::max(2, static_cast<int>((plot.bottom - plot.top) / 48)));
  double widest = 0;
  for (const Tick& tick : y_ticks) widest = std::max(widest, canvas.text_width(tick.text));
  plot.left = area.left + widest + 12;
  const int most_x = std::max(2, static_cast<int>((plot.right - plot.left) / 90));
  // Epochs are whole numbers: no tick at 1.5.
  bool whole = plot.x.high - plot.x.low >= 1;
  for (const Series& one : series)
    for_each_point(
        one, options.log_x, [&](double x, double) { whole = whole && x == std::floor(x); }, [] {});
  const std::vector<Tick> x_ticks =
      options.log_x ? log_ticks(plot.x, most_x) : linear_ticks(plot.x, most_x, whole ? 1 : 0);

  for (const Tick& tick : y_ticks) {
    canvas.colour(kGrid);
    const double y = std::round(plot.to_y(tick.value)) + 0.5;
    canvas.line(plot.left, y, plot.right, y, 1);
    canvas.colour(kQuietText);
    canvas.text(plot.left - 10, plot.to_y(tick.value) + 4.5, tick.text, Align::kRight);
  }
  for (const Tick& tick : x_ticks) {
    const double x = std::round(plot.to_x(tick.value)) + 0.5;
    canvas.colour(kGrid);
    canvas.line(x, plot.top, x, plot.bottom, 1);
    canvas.colour(kAxis);
    canvas.line(x, plot.bottom, x, plot.bottom + 5, 1);
    canvas.colour(kQuietText);
    canvas.text(plot.to_x(tick.value), plot.bottom + 20, tick.text, Align::kCentre);
  }
  canvas.colour(kAxis);
  const double axis = std::round(plot.bottom) + 0.5;
  canvas.line(plot.left, axis, plot.right, axis, 1);

  // Backwards, so that the first series, which matters most, lies on top.
  for (size_t i = series.size(); i-- > 0;) {
    draw_series(canvas, plot, series[i], options.log_x,
                kPalette[colour_of(series[i], i) % kPalette.size()], is_dashed(series[i], i));
  }
}

}  // namespace elbo::plotting::detail
