#include "support/figure3.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "elbo/plotting/chart_grid.h"

namespace elbo::cli {
namespace {

using nlohmann::ordered_json;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// A learner's curves on one training set, a seed each; those without points left out.
struct Replicates {
  const Curve* first = nullptr;
  std::vector<uint64_t> seeds = {};
  std::vector<LearningCurve> curves = {};

  /// Their points at so many samples.
  [[nodiscard]] std::vector<CurvePoint> at(int64_t samples) const {
    std::vector<CurvePoint> found;
    for (const auto& curve : curves)
      for (const CurvePoint& p : curve)
        if (p.samples == samples) found.push_back(p);
    return found;
  }
  /// Where any of them has a point.
  [[nodiscard]] std::vector<int64_t> samples() const {
    std::vector<int64_t> all;
    for (const auto& curve : curves)
      for (const CurvePoint& p : curve) all.push_back(p.samples);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }
};

std::vector<Replicates> replicates_of(const std::vector<Curve>& curves,
                                      const Reproduction& reproduction) {
  std::vector<Replicates> out;
  for (const Curve& curve : curves) {
    if (out.empty() || out.back().first->group() != curve.group()) out.push_back({.first = &curve});
    auto points = reproduction.recorded(curve);
    if (points.empty()) continue;
    out.back().seeds.push_back(curve.seed.value_or(0));
    out.back().curves.push_back(std::move(points));
  }
  return out;
}

/// Mean, standard deviation and ends of some numbers; the deviation of one is unknown.
struct Spread {
  double mean = 0, deviation = kUnknown, low = 0, high = 0;
};
Spread spread_of(const std::vector<double>& x) {
  const auto n = static_cast<double>(x.size());
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  Spread out{.mean = std::accumulate(x.begin(), x.end(), 0.0) / n, .low = *low, .high = *high};
  if (x.size() < 2) return out;
  double squares = 0;
  for (const double each : x) squares += (each - out.mean) * (each - out.mean);
  out.deviation = std::sqrt(squares / (n - 1));
  return out;
}
template <class Get>
Spread spread_of(const std::vector<CurvePoint>& points, Get get) {
  std::vector<double> x;
  for (const CurvePoint& p : points) x.push_back(static_cast<double>(get(p)));
  return spread_of(x);
}

double test_of(const CurvePoint& p) { return p.test.mean; }
double train_of(const CurvePoint& p) { return p.train.mean; }

struct Look {
  const char* name;
  int colour;
};
Look look_of(const std::string& learner) {
  if (learner == "aevb") return {"AEVB", 0};
  return learner == "mcem" ? Look{"MCEM", 2} : Look{"Wake\u2013sleep", 1};
}

/// The mean over seeds in a band from the least to the greatest; `work`: against gradients.
void add_series(plotting::ChartPanel& panel, const Replicates& of, bool work) {
  const Look look = look_of(of.first->learner);
  for (const bool test : {true, false}) {
    plotting::Series series{.name = std::string(look.name) + (test ? " (test)" : " (train)"),
                            .x = {},
                            .y = {},
                            .colour = look.colour,
                            .dashed = !test};
    for (const int64_t samples : of.samples()) {
      const auto points = of.at(samples);
      const auto y = spread_of(points, test ? test_of : train_of);
      series.x.push_back(work ? spread_of(points,
                                          [](const CurvePoint& p) {
                                            return static_cast<double>(p.gradient_evaluations);
                                          })
                                    .mean
                              : static_cast<double>(samples));
      series.y.push_back(y.mean);
      series.low.push_back(y.low);
      series.high.push_back(y.high);
    }
    panel.series.push_back(std::move(series));
  }
}

std::string panel_title(const std::string& data) {
  return "N = " + data.substr(data.find('-') + 1);
}

std::vector<plotting::ChartRow> rows_of(const std::vector<Replicates>& all) {
  constexpr int64_t kMillion = 1'000'000;
  int64_t longest = 0;
  for (const auto& of : all)
    for (const int64_t samples : of.samples()) longest = std::max(longest, samples);
  std::vector<plotting::ChartRow> rows;
  for (const bool work : {false, true}) {
    plotting::ChartRow row{.title =
                               work ? "against gradient evaluations" : "against training samples"};
    if (longest >= kMillion) row.y_from = -160;  // as in the paper; below are the first steps
    for (const auto& of : all) {
      const auto title = panel_title(of.first->data);
      if (row.panels.empty() || row.panels.back().title != title) row.panels.push_back({title, {}});
      add_series(row.panels.back(), of, work);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

/// How far a learner's test log p(x) lies below AEVB's of the same seed, at equal work.
std::vector<double> gaps(const Replicates& of, const Replicates& aevb, int64_t gradients) {
  std::vector<double> out;
  for (size_t i = 0; i < of.seeds.size(); ++i) {
    const auto same = std::find(aevb.seeds.begin(), aevb.seeds.end(), of.seeds[i]);
    if (same == aevb.seeds.end()) continue;
    const auto& reference = aevb.curves[static_cast<size_t>(same - aevb.seeds.begin())];
    const auto a = point_at_gradients(of.curves[i], gradients);
    const auto b = point_at_gradients(reference, gradients);
    if (a && b) out.push_back(b->test.mean - a->test.mean);
  }
  return out;
}

/// JSON has no NaN.
ordered_json number(double x) { return std::isnan(x) ? ordered_json(nullptr) : ordered_json(x); }

}  // namespace

Files draw_figure3(const std::vector<Curve>& curves, const Reproduction& reproduction,
                   const std::filesystem::path& out) {
  const auto all = replicates_of(curves, reproduction);
  std::string csv;
  for (const auto& of : all)
    for (size_t i = 0; i < of.curves.size(); ++i)
      csv += with_cells(fmt::format("{},{},{}", of.first->data, of.first->learner, of.seeds[i]),
                        to_csv(of.curves[i], CurveMeasure::kLogEvidence));
  if (csv.empty()) return {};
  const auto rows = rows_of(all);
  const plotting::ChartGridOptions options{.title = "The marginal likelihood, nats per datum",
                                           .x_label = "shaded: from the least seed to the greatest",
                                           .log_x = true,
                                           .panel_width = 480,
                                           .panel_height = 330};
  Files files;
  write_picture(out / "figure3", plotting::chart_grid_png(rows, options),
                plotting::chart_grid_svg(rows, options), files);
  write(out / "figure3.csv",
        "data,learner,seed," + curve_columns(CurveMeasure::kLogEvidence) + "\n" + csv, files);
  write(out / "figure3_summary.csv", to_csv(summary_of_figure3(curves, reproduction)), files);
  return files;
}

ordered_json summary_of_figure3(const std::vector<Curve>& curves,
                                const Reproduction& reproduction) {
  const auto all = replicates_of(curves, reproduction);
  auto summary = ordered_json::array();
  for (const auto& of : all) {
    if (of.curves.empty()) continue;
    int64_t last = of.curves.front().back().samples;
    for (const auto& curve : of.curves) last = std::min(last, curve.back().samples);
    auto points = of.at(last);
    if (points.empty()) continue;
    const auto train = spread_of(points, train_of), test = spread_of(points, test_of);
    ordered_json row = {
        {"data", of.first->data},
        {"learner", of.first->learner},
        {"seeds", points.size()},
        {"samples", last},
        {"gradient_evaluations",
         spread_of(points, [](const CurvePoint& p) { return p.gradient_evaluations; }).mean},
        {"seconds", spread_of(points, [](const CurvePoint& p) { return p.seconds; }).mean},
        {"train", train.mean},
        {"train_deviation", number(train.deviation)},
        {"test", test.mean},
        {"test_deviation", number(test.deviation)}};
    const auto aevb = std::find_if(all.begin(), all.end(), [&](const Replicates& other) {
      return other.first->data == of.first->data && other.first->learner == "aevb";
    });
    for (const auto& [label, gradients] :
         {std::pair{"1e5", 100'000}, std::pair{"1e6", 1'000'000}, std::pair{"1e7", 10'000'000}}) {
      const bool itself = of.first->learner == "aevb" || aevb == all.end();
      const auto below = itself ? std::vector<double>{} : gaps(of, *aevb, gradients);
      const auto gap = below.empty() ? Spread{.mean = kUnknown} : spread_of(below);
      row[fmt::format("below_aevb_at_{}", label)] = number(gap.mean);
      row[fmt::format("below_aevb_at_{}_deviation", label)] = number(gap.deviation);
    }
    summary.push_back(row);
  }
  return summary;
}

std::string text_of_figure3(const ordered_json& summary) {
  if (summary.empty()) return "";
  const auto with_deviation = [](const ordered_json& row, const std::string& name) {
    const auto &value = row.at(name), &deviation = row.at(name + "_deviation");
    if (value.is_null()) return std::string("-");
    const auto text = fmt::format("{:.2f}", value.get<double>());
    return deviation.is_null() ? text
                               : text + fmt::format(" \u00b1{:.2f}", deviation.get<double>());
  };
  std::string text = fmt::format(
      "log p(x), nats per datum, mean and standard deviation over "
      "seeds; how far the test's lies "
      "below AEVB's\nafter as many gradient "
      "evaluations\n{:<23}{:>9}{:>10}{:>9}{:>16}{:>16}{:>14}"
      "{:>14}{:>14}\n",
      "", "samples", "gradients", "seconds", "train", "test", "gap at 1e5", "1e6", "1e7");
  for (const auto& row : summary)
    text += fmt::format(
        "{:<23}{:>9.2g}{:>10.2g}{:>9.0f}{:>16}{:>16}{:>14}{:>14}{:>14}\n",
        row.at("data").get<std::string>() + " " + row.at("learner").get<std::string>(),
        row.at("samples").get<double>(), row.at("gradient_evaluations").get<double>(),
        row.at("seconds").get<double>(), with_deviation(row, "train"), with_deviation(row, "test"),
        with_deviation(row, "below_aevb_at_1e5"), with_deviation(row, "below_aevb_at_1e6"),
        with_deviation(row, "below_aevb_at_1e7"));
  return text;
}

}  // namespace elbo::cli
