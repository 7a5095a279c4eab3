#include "support/loaded_run.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "elbo/io/atomic_file.h"
#include "elbo/io/safetensors.h"
#include "elbo/models/mixture.h"
#include "support/arguments.h"

namespace elbo::cli {
namespace {

void check_part(const data::DataSet& set, const data::Part& part, const Model& model) {
  if (part.rows() == 0) return;
  if (part.mask.defined() && !model.handles_missing()) {
    const auto missing = part.mask.flatten(1).logical_not().nonzero();  // [n, 2]
    if (missing.size(0) > 0)  // the other part may hold them all
      throw DataError(fmt::format(
          "{}: {} missing entries (NaN) in the {} rows, the first in column {}; expected none: "
          "this model does not handle missing values",
          set.name, missing.size(0), &part == &set.train ? "training" : "test",
          missing[0][1].item<int64_t>() + 1));
  }
  if (!model.needs_unit_interval()) return;
  const double low = part.x.min().item<double>() * set.scale;
  const double high = part.x.max().item<double>() * set.scale;
  if (low < 0 || high > 1)
    throw DataError(fmt::format(
        "{}: values from {:.4g} to {:.4g}; expected values in [0, 1] for this likelihood (train "
        "with --likelihood gaussian)",
        set.name, low, high));
}

int64_t numel(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

data::Part head(const data::Part& part, int64_t limit) {
  if (limit <= 0 || limit >= part.rows()) return part;
  const auto cut = [&](const at::Tensor& t) { return t.defined() ? t.narrow(0, 0, limit) : t; };
  return {cut(part.x), cut(part.labels), cut(part.mask)};
}

}  // namespace

void check_data(const data::DataSet& set, const Model& model) {
  if (numel(set.event_shape) != model.data_dim())
    throw DataError(fmt::format("{}: rows of {} values; expected {} as in the model's training",
                                set.name, numel(set.event_shape), model.data_dim()));
  check_part(set, set.train, model);
  check_part(set, set.test, model);
}

at::TensorOptions tensor_options(const Settings& settings) {
  return at::TensorOptions().dtype(settings.word("precision") == "float64" ? at::kDouble
                                                                           : at::kFloat);
}

void check_support(const LoadedRun& run, const data::DataSet& set,
                   const data::BatchSource& source) {
  constexpr int64_t kChunk = 10000;
  const auto* mixture = dynamic_cast<const Mixture*>(run.model.get());
  if (mixture == nullptr) return;
  for (int64_t first = 0; first < source.rows(); first += kChunk) try {
      const int64_t count = std::min(kChunk, source.rows() - first);
      mixture->check_support(source.range(first, count, Noise(0))["x"]);
    } catch (const DataError& e) {
      throw DataError(set.name + ": " + e.what());
    }
}

std::vector<int64_t> LoadedRun::image_shape(const char* command) const {
  if (event_shape.size() != 2)
    throw ConfigError(fmt::format(
        "{}: the run's data are rows of shape [{}], not pictures; write --out FILE.npy instead",
        command, fmt::join(event_shape, ", ")));
  return event_shape;
}

at::Tensor LoadedRun::as_images(const at::Tensor& x, const char* command) const {
  const auto shape = image_shape(command);
  return x.reshape({x.size(0), shape[0], shape[1]}).clamp(0, 1);
}

LoadedRun open_description(const std::string& path) {
  auto directory = io::RunDirectory::open(path);
  const auto bytes = io::read_file(directory.model_json());
  const auto name = directory.model_json().string();
  try {
    auto description =
        nlohmann::json::parse(reinterpret_cast<const char*>(bytes.data()),
                              reinterpret_cast<const char*>(bytes.data()) + bytes.size());
    Settings settings(description.at("settings"));
    auto model = make_model(description.at("model"), tensor_options(settings));
    auto shape = description.at("data").at("event_shape").get<std::vector<int64_t>>();
    return {std::move(directory), std::move(description), std::move(settings), std::move(model),
            std::move(shape)};
  } catch (const nlohmann::json::exception& e) {
    throw DataError(name + ": not a run's description: " + e.what());
  } catch (const ConfigError& e) {
    throw DataError(name + ": " + e.what());
  }
}

LoadedRun open_run(const std::string& path) {
  auto run = open_description(path);
  const auto file = io::load(run.directory.weights());
  const at::NoGradGuard no_grad;
  for (auto [name, parameter] : saved_parameters(*run.model)) {
    const auto& saved = file.at(name);
    if (saved.sizes() != parameter.sizes())
      throw DataError(fmt::format("{}: '{}' has shape [{}]; expected [{}]", file.name, name,
                                  fmt::join(saved.sizes(), ", "),
                                  fmt::join(parameter.sizes(), ", ")));
    parameter.copy_(saved);
  }
  return run;
}

data::BatchSource Rows::source(const LoadedRun& run) const {
  return {part, set.scale, data::parse_binarize(run.settings.word("binarize")),
          run.options().dtype().toScalarType()};
}

Rows load_rows(const LoadedRun& run, const RowsArguments& which) {
  data::LoadOptions options{.seed = static_cast<uint64_t>(run.settings.integer("data-seed"))};
  bool known = false;
  for (const auto& set : data::known_sets()) known = known || set.name == which.data;
  std::string part = which.part;
  if (part == "auto") part = known ? "test" : "all";
  options.hold_out = part != "all" || known;
  Rows rows{data::load(which.data, options), {}};
  check_data(rows.set, *run.model);
  if (part == "all" && known)
    throw ConfigError("--part all: expected train or test for the set '" + which.data + "'");
  rows.part = head(part == "test" ? rows.set.test : rows.set.train, which.limit);
  check_support(run, rows.set, rows.source(run));
  return rows;
}

void add_rows_arguments(CLI::App& command, RowsArguments& which, const std::string& draws) {
  command.add_option("RUN", which.run, "a run directory")->required();
  command.add_option("DATA", which.data, "a data set's name or file")->required();
  command
      .add_option("--part", which.part, "rows to use (auto: test of a known set, all of a file)")
      ->check(CLI::IsMember({"auto", "train", "test", "all"}))
      ->default_str("auto");
  command.add_option("--limit", which.limit, "only the first so many rows")->check(integer(1));
  add_seed(command, which.seed, "of " + draws);
}

void save_weights(const io::RunDirectory& directory, const Model& model) {
  io::TensorFile file;
  for (auto& [name, parameter] : saved_parameters(model))
    file.tensors.push_back({name, parameter.detach()});
  io::save(directory.weights(), file);
}

}  // namespace elbo::cli
