#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "commands.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/inference/em.h"
#include "elbo/kernels/runtime.h"
#include "elbo/models/mixture.h"
#include "support/loaded_run.h"
#include "support/output.h"
#include "support/progress_bar.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string labels, responsibilities, log_densities;
  RowsArguments rows;
  bool json = false;
};

struct Clustering {
  at::Tensor labels;            ///< [N] int64
  at::Tensor responsibilities;  ///< [N, K], or undefined where nobody wants them
  at::Tensor log_densities;     ///< [N], nats
};

Clustering assign(const Mixture& mixture, const data::BatchSource& source, uint64_t seed,
                  bool keep_all) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kChunk = 2000;
  const Em em(mixture.model(), mixture.m_steps());
  ProgressBar bar;
  std::vector<at::Tensor> labels, responsibilities, log_densities;
  for (int64_t first = 0; first < source.rows(); first += kChunk) {
    const auto batch =
        source.range(first, std::min(kChunk, source.rows() - first), evaluation_noise(seed));
    const auto found = em.responsibilities(batch);
    labels.push_back(found.weights.argmax(0));
    if (keep_all) responsibilities.push_back(found.weights.t());
    log_densities.push_back(mixture.is_bayesian() ? mixture.log_likelihood(batch["x"])
                                                  : found.log_likelihood);
    bar.update(first, source.rows(), "rows");
  }
  bar.clear();
  return {at::cat(labels), keep_all ? at::cat(responsibilities) : at::Tensor(),
          at::cat(log_densities)};
}

/// The share of rows with the label that most rows of their component have.
double purity(const at::Tensor& components, const at::Tensor& labels) {
  const int64_t kinds = labels.max().item<int64_t>() + 1;
  const int64_t k = components.max().item<int64_t>() + 1;
  const auto table = at::bincount(components * kinds + labels, {}, k * kinds).view({k, kinds});
  return static_cast<double>(table.amax(1).sum().item<int64_t>()) /
         static_cast<double>(labels.numel());
}

void cluster(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.rows.run);
  const auto* mixture = dynamic_cast<const Mixture*>(run.model.get());
  if (mixture == nullptr)
    throw ConfigError(fmt::format("cluster: {} holds a {}; expected a mixture", a.rows.run,
                                  run.description["model"]["model"].get<std::string>()));
  const auto rows = load_rows(run, a.rows);
  const auto source = rows.source(run);
  const auto found = assign(*mixture, source, a.rows.seed, !a.responsibilities.empty());
  if (!a.labels.empty()) write_array(a.labels, found.labels);
  if (!a.responsibilities.empty()) write_array(a.responsibilities, found.responsibilities);
  if (!a.log_densities.empty()) write_array(a.log_densities, found.log_densities);

  const auto count = at::bincount(found.labels, {}, mixture->latent_dim());
  const std::vector<int64_t> sizes(count.data_ptr<int64_t>(),
                                   count.data_ptr<int64_t>() + count.numel());
  const double mean = found.log_densities.mean().item<double>();
  nlohmann::json out = {{"rows", source.rows()}, {"log_likelihood", mean}, {"sizes", sizes}};
  if (rows.part.labels.defined()) out["purity"] = purity(found.labels, rows.part.labels);
  if (a.json) {
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("log likelihood    {:.4f} nats per datum over {} rows\nrows a component  {}\n", mean,
             source.rows(), fmt::join(sizes, " "));
  if (out.contains("purity"))
    fmt::print("purity            {:.4f}: rows with their component's commonest label\n",
               out["purity"].get<double>());
}

}  // namespace

void add_cluster(CLI::App& program) {
  auto* command = program.add_subcommand(
      "cluster", "Rows to the components of a mixture, numbered from 0: how many each has");
  auto a = std::make_shared<Arguments>();
  add_rows_arguments(*command, a->rows, "a sampled binarisation");
  command->add_option("--out", a->labels,
                      "FILE.npy or FILE.csv: the likeliest component of each row");
  command->add_option("--responsibilities", a->responsibilities,
                      "FILE.npy or FILE.csv: p(k|x), a column a component");
  command->add_option("--log-densities", a->log_densities,
                      "FILE.npy or FILE.csv: log p(x) of each row, nats");
  command->add_flag("--json", a->json, "one JSON object on standard output");
  command->footer("Example: elbo cluster runs/clusters table.csv --out labels.csv");
  command->callback([a] { cluster(*a); });
}

}  // namespace elbo::cli
