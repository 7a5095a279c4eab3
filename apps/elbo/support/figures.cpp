#include "support/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "elbo/evaluation/pictures.h"
#include "elbo/plotting/chart_grid.h"
#include "elbo/plotting/image_grid.h"
#include "support/figure3.h"
#include "support/figure_files.h"
#include "support/output.h"

namespace elbo::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr int64_t kMillion = 1'000'000;

std::string title_of(const std::string& data) {
  if (data == "mnist") return "MNIST";
  return data == "frey" ? "Frey Face, test rows at random" : "Frey Face, test rows the last 400";
}

// ------------------------------------------------------------------ figure 2

void add_series(plotting::ChartPanel& panel, const Curve& curve, const LearningCurve& points) {
  const bool aevb = curve.learner == "aevb";
  const std::string name = aevb ? "AEVB" : "Wake\u2013sleep";
  plotting::Series test{.name = name + " (test)", .x = {}, .y = {}, .colour = aevb ? 0 : 1};
  plotting::Series train = test;
  train.name = name + " (train)";
  train.dashed = true;
  for (const CurvePoint& p : points) {
    const auto samples = static_cast<double>(p.samples);
    test.x.push_back(samples), test.y.push_back(p.test.mean);
    train.x.push_back(samples), train.y.push_back(p.train.mean);
  }
  panel.series.push_back(std::move(test));
  panel.series.push_back(std::move(train));
}

/// A row of `rows` for the curve's data and a panel of it for its setting.
plotting::ChartPanel& panel_of(std::vector<plotting::ChartRow>& rows, const Curve& curve) {
  const auto title = title_of(curve.data);
  if (rows.empty() || rows.back().title != title) {
    // The paper's axes: what lies below is the first steps.
    rows.push_back({.title = title, .y_from = curve.data == "mnist" ? -150.0 : 0.0});
  }
  auto& panels = rows.back().panels;
  const auto setting = fmt::format("N_z = {}", curve.latent);
  if (panels.empty() || panels.back().title != setting) panels.push_back({setting, {}});
  return panels.back();
}

ordered_json summary_of_figure2(const std::vector<Curve>& curves,
                                const Reproduction& reproduction) {
  auto summary = ordered_json::array();
  for (const Curve& curve : curves) {
    if (curve.learner != "aevb") continue;
    const auto aevb = reproduction.recorded(curve);
    const auto rival = reproduction.recorded({curve.data, curve.latent, "wake-sleep"});
    if (aevb.empty() || rival.empty()) continue;
    ordered_json row = {{"data", curve.data}, {"latent", curve.latent}};
    for (const auto& [label, samples] :
         {std::pair{"1e6", kMillion}, std::pair{"1e7", 10 * kMillion}}) {
      const auto a = point_at(aevb, samples), b = point_at(rival, samples);
      const auto put = [&](const char* what, ordered_json value) {
        row[fmt::format("{}_at_{}", what, label)] = a && b ? std::move(value) : nullptr;
      };
      put("aevb", a ? a->test.mean : 0);
      put("wake_sleep", b ? b->test.mean : 0);
      put("difference_error",
          a && b ? std::sqrt(a->test.draw_variance + b->test.draw_variance) : 0);
      put("aevb_above", a && b ? (a->test.mean > b->test.mean ? "yes" : "no") : "");
    }
    const auto peak = peak_of(aevb);
    row["aevb_peak"] = peak.bound;
    row["aevb_peak_samples"] = peak.samples;
    row["aevb_fall"] = peak.fall;
    row["aevb_fall_error"] = peak.fall_error;
    double largest = 0, draws = 0;
    for (const auto* points : {&aevb, &rival})
      for (const CurvePoint& p : *points)
        for (const CurveValue& part : {p.train, p.test}) {
          largest = std::max(largest, part.variance);
          draws = std::max(draws, part.draw_variance);
        }
    row["largest_variance"] = largest;
    row["largest_draw_variance"] = draws;
    summary.push_back(row);
  }
  return summary;
}

std::string text_of_figure2(const ordered_json& summary) {
  if (summary.empty()) return "";
  const auto number = [](const ordered_json& value) {
    return value.is_null() ? std::string("-") : fmt::format("{:.2f}", value.get<double>());
  };
  std::string text = fmt::format(
      "test bounds, nats per datum, AEVB and wake-sleep; variances of the estimates (paper: < 1)\n"
      "{:<14}{:>10}{:>10}{:>11}{:>10}{:>10}{:>10}{:>8}{:>10}{:>9}\n",
      "", "1e6 AEVB", "w-s", "1e7 AEVB", "w-s", "peak", "at", "fall", "variance", "of draws");
  for (const auto& row : summary)
    text += fmt::format(
        "{:<14}{:>10}{:>10}{:>11}{:>10}{:>10}{:>10.1e}{:>8}{:>10.3g}{:>9.2g}\n",
        fmt::format("{}-{}", row.at("data").get<std::string>(), row.at("latent").get<int64_t>()),
        number(row.at("aevb_at_1e6")), number(row.at("wake_sleep_at_1e6")),
        number(row.at("aevb_at_1e7")), number(row.at("wake_sleep_at_1e7")),
        number(row.at("aevb_peak")), row.at("aevb_peak_samples").get<double>(),
        number(row.at("aevb_fall")), row.at("largest_variance").get<double>(),
        row.at("largest_draw_variance").get<double>());
  return text;
}

Files draw_figure2(const std::vector<Curve>& curves, const Reproduction& reproduction,
                   const fs::path& out) {
  std::vector<plotting::ChartRow> rows;
  std::string csv = "data,latent,learner," + curve_columns() + "\n";
  int64_t longest = 0;
  for (const Curve& curve : curves) {
    auto& panel = panel_of(rows, curve);
    const auto points = reproduction.recorded(curve);
    if (points.empty()) continue;
    longest = std::max(longest, points.back().samples);
    add_series(panel, curve, points);
    csv += with_cells(fmt::format("{},{},{}", curve.data, curve.latent, curve.learner),
                      to_csv(points));
  }
  if (longest == 0) return {};
  std::erase_if(rows, [](const plotting::ChartRow& row) {
    return std::all_of(row.panels.begin(), row.panels.end(),
                       [](const auto& panel) { return panel.series.empty(); });
  });
  if (longest >= kMillion)
    for (auto& row : rows) row.x_from = 1e5;
  const plotting::ChartGridOptions options{.title = "The variational lower bound, nats per datum",
                                           .x_label = "training samples evaluated",
                                           .log_x = true};
  Files files;
  write_picture(out / "figure2", plotting::chart_grid_png(rows, options),
                plotting::chart_grid_svg(rows, options), files);
  write(out / "figure2.csv", csv, files);
  const auto summary = summary_of_figure2(curves, reproduction);
  if (!summary.empty()) write(out / "figure2_summary.csv", to_csv(summary), files);
  return files;
}

// ------------------------------------------------------------------ figures 4 and 5

bool has_weights(const Reproduction& reproduction, const Curve& curve) {
  std::error_code none;
  return fs::exists(reproduction.directory(curve) / "weights.safetensors", none);
}

Files draw_pictures(const std::string& figure, const std::vector<Curve>& curves,
                    const Reproduction& reproduction, const fs::path& out) {
  constexpr int64_t kSide = 20, kSamples = 100;
  std::vector<plotting::ImagePanel> panels;
  Files files;
  for (const Curve& curve : curves) {
    if (!has_weights(reproduction, curve)) continue;
    const auto run = open_run(reproduction.directory(curve).string());
    const auto seed = static_cast<uint64_t>(run.settings.integer("seed"));
    const bool is_manifold = figure == "figure4";
    const auto x =
        is_manifold ? manifold(*run.model, kSide, run.options())
                    : sample_means(*run.model, kSamples, Noise(seed).site("sample"), run.options());
    panels.push_back({is_manifold ? (curve.data == "mnist" ? "MNIST" : "Frey Face")
                                  : fmt::format("{}-D latent space", curve.latent),
                      run.as_images(x, "reproduce"), is_manifold ? kSide : kSamples / 10});
    files.push_back((out / fmt::format("{}-{}.csv", figure, curve.setting())).string());
    write_array(files.back(), x);
  }
  if (panels.empty()) return {};
  write_picture(out / figure, plotting::image_panels_png(panels),
                plotting::image_panels_svg(panels), files);
  return files;
}

}  // namespace

Files draw_figure(const std::string& figure, const std::vector<Curve>& curves,
                  const Reproduction& reproduction, const fs::path& out) {
  if (figure == "figure2") return draw_figure2(curves, reproduction, out);
  if (figure == "figure3") return draw_figure3(curves, reproduction, out);
  return draw_pictures(figure, curves, reproduction, out);
}

ordered_json summary_of(const std::string& figure, const std::vector<Curve>& curves,
                        const Reproduction& reproduction) {
  if (figure == "figure2") return summary_of_figure2(curves, reproduction);
  if (figure == "figure3") return summary_of_figure3(curves, reproduction);
  return ordered_json::array();
}

std::string summary_text(const std::string& figure, const ordered_json& summary) {
  return figure == "figure3" ? text_of_figure3(summary) : text_of_figure2(summary);
}

}  // namespace elbo::cli
