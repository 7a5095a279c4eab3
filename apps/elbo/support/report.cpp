#include "support/report.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "elbo/evaluation/pictures.h"
#include "elbo/io/atomic_file.h"
#include "elbo/models/mixture.h"
#include "elbo/plotting/image_grid.h"
#include "elbo/plotting/line_chart.h"
#include "elbo/plotting/report.h"
#include "support/learner.h"
#include "support/semi_supervised.h"

namespace elbo::cli {
namespace {

std::vector<std::byte> curve(const std::vector<nlohmann::json>& metrics, bool is_bound) {
  plotting::Series train, test;
  train.name = is_bound ? "training bound" : "log p(x, z) at the chains' draws";
  test.name = "test bound";
  for (const auto& line : metrics) {
    const double samples = line.value("samples", 0.0);
    const auto add = [&](plotting::Series& series, const char* key) {
      if (!line.contains(key) || !line[key].is_number()) return;
      series.x.push_back(samples);
      series.y.push_back(line[key].get<double>());
    };
    add(train, "train_elbo");
    add(test, "test_elbo");
  }
  std::vector<plotting::Series> series = {train};
  if (!test.x.empty()) series.push_back(test);
  return plotting::line_chart_png(series, {.title = is_bound ? "Evidence lower bound" : "Training",
                                           .x_label = "training samples seen",
                                           .y_label = "nats per datum"});
}

}  // namespace

std::vector<std::byte> sample_picture(const LoadedRun& run, int64_t count, uint64_t seed) {
  const auto x = sample_means(*run.model, count, Noise(seed).site("sample"), run.options());
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  return plotting::image_grid_png(run.as_images(x, "sample"), {.columns = columns, .scale = 2});
}

std::vector<std::byte> manifold_picture(const LoadedRun& run, int64_t side) {
  const auto x = manifold(*run.model, side, run.options());
  return plotting::image_grid_png(run.as_images(x, "manifold"), {.columns = side, .scale = 1});
}

std::vector<std::byte> reconstruction_picture(const LoadedRun& run, const data::BatchSource& source,
                                              int64_t count) {
  const auto batch = source.range(0, std::min(count, source.rows()), evaluation_noise(0));
  return plotting::reconstruction_pairs_png(
      run.as_images(batch["x"], "reconstruct"),
      run.as_images(reconstruct(*run.model, with_gaps(batch)), "reconstruct"), 10);
}

std::vector<std::byte> classes_picture(const LoadedRun& run, int64_t count, uint64_t seed) {
  const auto& model = semi_supervised(run, "sample --classes");
  const auto x = class_samples(model, count, Noise(seed).site("sample"));
  return plotting::image_grid_png(run.as_images(x.flatten(0, 1), "sample"),
                                  {.columns = model.classes(), .scale = 2});
}

std::vector<std::byte> styles_picture(const LoadedRun& run, const data::BatchSource& source,
                                      int64_t count) {
  const auto& model = semi_supervised(run, "styles");
  const auto x = source.range(0, std::min(count, source.rows()), evaluation_noise(0))["x"];
  const auto all = at::cat({x.unsqueeze(1), in_every_class(model, x)}, 1).flatten(0, 1);
  return plotting::image_grid_png(run.as_images(all, "styles"),
                                  {.columns = 1 + model.classes(), .scale = 2, .gap = 1});
}

namespace {

/// Means of a mixture's components, the heaviest first.
std::vector<std::byte> components_picture(const LoadedRun& run, const Mixture& mixture) {
  const auto weights = mixture.parameters().front().second.front().second;
  const auto order = weights.argsort(0, /*descending=*/true);
  const auto z = at::eye(mixture.latent_dim(), run.options()).index_select(0, order);
  return plotting::image_grid_png(run.as_images(mixture.decode(z).mean(), "train"),
                                  {.columns = 10, .scale = 2});
}

}  // namespace

void write_report(const LoadedRun& run, const data::DataSet& set) {
  const auto metrics = run.directory.read_metrics();
  plotting::Report report{.title = "elbo: " + set.name};
  for (const auto& [key, value] : run.settings.values()) report.settings.emplace_back(key, value);
  if (!metrics.empty())
    for (const auto& [key, value] : metrics.back().items())
      report.results.emplace_back(
          key, value.is_number_float() ? fmt::format("{:.6g}", value.get<double>()) : value.dump());
  const auto add = [&](const char* name, const char* title, const char* caption,
                       std::vector<std::byte> png) {
    io::write_file(run.directory.figure(name), png);
    report.figures.push_back({title, caption, std::move(png)});
  };
  const bool with_guide = learns_guide(run.settings);
  if (!metrics.empty())
    add("curve", "Training",
        with_guide ? "The bound as training went on."
                   : "log p(x, z) at draws from the posterior, which is no bound.",
        curve(metrics, with_guide));
  const auto* mixture = dynamic_cast<const Mixture*>(run.model.get());
  const bool several_laws = mixture != nullptr && mixture->config()["families"].size() > 1;
  if (run.event_shape.size() == 2 && !several_laws) {
    if (mixture != nullptr)
      add("components", "Components", "Means of p(x|k), the heaviest component first.",
          components_picture(run, *mixture));
    else
      add("samples", "Samples", "Means of p(x|z) at z drawn from the prior (AEVB figure 5).",
          sample_picture(run, 100, static_cast<uint64_t>(run.settings.integer("seed"))));
    const data::BatchSource source(set.test.rows() > 0 ? set.test : set.train, set.scale,
                                   data::parse_binarize(run.settings.word("binarize")),
                                   run.options().dtype().toScalarType());
    if (with_guide)
      add("reconstructions", "Reconstructions",
          "Test rows, and below each the mean of p(x|z) at the guide's mean.",
          reconstruction_picture(run, source, 50));
    if (dynamic_cast<const SemiSupervised*>(run.model.get()) != nullptr) {
      add("classes", "Classes", "A row a style z2 drawn from the prior, a column a class.",
          classes_picture(run, 10, static_cast<uint64_t>(run.settings.integer("seed"))));
      add("styles", "Styles", "Test rows, and beside each the same style in every class.",
          styles_picture(run, source, 10));
    }
    if (mixture == nullptr && run.model->latent_dim() == 2)
      add("manifold", "Manifold",
          "The latent plane through the inverse normal CDF (AEVB figure 4).",
          manifold_picture(run, 20));
  }
  io::write_file(run.directory.report(), plotting::report_html(report));
}

}  // namespace elbo::cli
