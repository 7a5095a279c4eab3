#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "elbo/error.h"
#include "elbo/estimators/score_function.h"
#include "elbo/estimators/sgvb.h"
#include "elbo/evaluation/gradient_variance.h"
#include "elbo/kernels/runtime.h"
#include "support/arguments.h"
#include "support/loaded_run.h"
#include "support/progress_bar.h"

namespace elbo::cli {
namespace {

struct Arguments {
  RowsArguments rows;
  int64_t samples = 10, repeats = 100, batch = 100, threads = 0;
  std::string by = "segment";
  bool untrained = false, json = false;
};

struct Candidate {
  std::string name;
  Estimator estimator;
  std::shared_ptr<Baseline> baseline = nullptr;  ///< to be learnt before it is looked at
};

std::vector<Candidate> candidates(int64_t samples, int64_t width) {
  std::vector<Candidate> out = {{"sgvb-b", Sgvb{SgvbForm::kB, samples}},
                                {"sgvb-a", Sgvb{SgvbForm::kA, samples}},
                                {"score-function", ScoreFunction{samples}}};
  const auto add = [&](const char* name, std::shared_ptr<Baseline> baseline) {
    out.push_back({std::string("score-function, ") + name, ScoreFunction{samples, baseline},
                   std::move(baseline)});
  };
  add("moving average", std::make_shared<MovingAverage>());
  add("input-dependent", std::make_shared<LinearBaseline>(width));
  if (samples > 1) add("leave one out", std::make_shared<LeaveOneOut>());
  return out;
}

std::vector<ParameterGroup> groups_of(const Model& model, const std::string& by) {
  if (by == "segment") return model.parameters();
  std::vector<ParameterGroup> out;
  for (const auto& named : named_parameters(model)) out.push_back({named.first, {named}});
  return out;
}

/// Shows a baseline minibatches of the rows, as training would.
void learn(const Candidate& candidate, const Model& model, const data::BatchSource& source,
           int64_t batch, const Noise& noise) {
  constexpr int64_t kSteps = 100;
  const auto program = model.model(), guide = model.guide();
  for (int64_t t = 0; t < kSteps; ++t) {
    const int64_t first = t * batch % std::max<int64_t>(1, source.rows() - batch + 1);
    const auto of_step = noise.step(static_cast<uint64_t>(t));
    (void)candidate.estimator(program, guide, source.range(first, batch, of_step), of_step);
  }
}

nlohmann::json to_json(const Candidate& candidate, const GradientScatters& scatters) {
  nlohmann::json groups = nlohmann::json::object();
  for (const auto& g : scatters.groups)
    groups[g.group] = {{"variance", g.variance},
                       {"standard_error", g.standard_error},
                       {"squared_mean", g.squared_mean}};
  return {{"estimator", candidate.name},
          {"milliseconds", scatters.milliseconds},
          {"groups", std::move(groups)}};
}

void print_row(const std::string& name, const GradientScatters& scatters,
               const GradientScatters& reference) {
  for (size_t k = 0; k < scatters.groups.size(); ++k) {
    const auto& g = scatters.groups[k];
    const double times = g.variance / reference.groups[k].variance;
    fmt::print("{:<34}{:<24}{:>12.4g} ± {:<9.2g}{:>12.4g}{:>10}\n", k == 0 ? name : "", g.group,
               g.variance, g.standard_error, times,
               k == 0 ? fmt::format("{:.2f}", scatters.milliseconds) : "");
  }
}

void gradients(const Arguments& a) {
  runtime::tune({.threads = a.threads});
  const auto run = open_run(a.rows.run);
  for (const auto& [name, parameter] : named_parameters(*run.model))
    if (!parameter.requires_grad())
      throw ConfigError(fmt::format(
          "compare: {} was learnt without gradients, by --learner {}; expected a run that had them",
          a.rows.run, run.settings.word("learner")));
  if (a.untrained)
    initialise_model(*run.model, nn::parse_init(run.settings.word("init")),
                     static_cast<uint64_t>(run.settings.integer("seed")));
  const auto rows = load_rows(run, a.rows);
  const auto source = rows.source(run);
  const Noise noise = Noise(a.rows.seed).site("compare");
  const int64_t batch = std::min(a.batch, source.rows());
  const auto minibatch = source.range(0, batch, noise);
  const auto groups = groups_of(*run.model, a.by);
  const auto all = candidates(a.samples, run.model->data_dim());

  ProgressBar bar;
  std::vector<GradientScatters> found;
  for (const auto& candidate : all) {
    bar.update(static_cast<int64_t>(found.size()), static_cast<int64_t>(all.size()), "estimators");
    auto estimator = candidate.estimator;
    if (candidate.baseline != nullptr) {
      learn(candidate, *run.model, source, batch, noise.site("learn"));
      estimator = ScoreFunction{a.samples, frozen(candidate.baseline)};
    }
    found.push_back(gradient_scatter(estimator, run.model->model(), run.model->guide(), groups,
                                     minibatch, noise, a.repeats / 2));
  }
  bar.clear();
  if (a.json) {
    nlohmann::json estimators = nlohmann::json::array();
    for (size_t i = 0; i < all.size(); ++i) estimators.push_back(to_json(all[i], found[i]));
    fmt::print("{}\n", nlohmann::json({{"rows", batch},
                                       {"samples", a.samples},
                                       {"repeats", a.repeats},
                                       {"untrained", a.untrained},
                                       {"estimators", std::move(estimators)}})
                           .dump());
    return;
  }
  fmt::print("gradient of the bound per datum: {} rows, L = {} draws a row, {} gradients each\n\n",
             batch, a.samples, a.repeats);
  fmt::print("{:<34}{:<24}{:>12}   {:<9}{:>12}{:>10}\n", "estimator", "parameters", "variance", "",
             "of sgvb-b's", "ms");
  for (size_t i = 0; i < all.size(); ++i) print_row(all[i].name, found[i], found[0]);
}

}  // namespace

void add_compare(CLI::App& program) {
  auto* command = program.add_subcommand("compare", "Ways to the same end, side by side");
  command->require_subcommand(1);
  command->footer("Example: elbo compare gradients runs/digits digits");
  auto* of = command->add_subcommand(
      "gradients", "The variance of each estimator's gradient, on the same model, rows and cost");
  auto a = std::make_shared<Arguments>();
  add_rows_arguments(*of, a->rows, "the draws");
  const auto number = [&](const char* name, int64_t& value, const char* description) {
    of->add_option(name, value, description)->check(integer(1))->default_str(std::to_string(value));
  };
  number("--samples", a->samples, "L, draws of z a row and gradient");
  of->add_option("--repeats", a->repeats, "gradients drawn of each estimator")
      ->check(integer(4, 1'000'000))
      ->default_str("100");
  number("--batch", a->batch, "M, rows: the first so many");
  of->add_option("--by", a->by, "what to sum the variance over: theta and phi, or each tensor")
      ->check(CLI::IsMember({"segment", "parameter"}))
      ->default_str("segment");
  add_threads(*of, a->threads);
  of->add_flag("--untrained", a->untrained, "with the weights that the run started from");
  of->add_flag("--json", a->json, "one JSON object on standard output");
  of->footer(
      "Only the draws of z differ between gradients; a baseline has learnt from 100 minibatches.\n"
      "Example: elbo compare gradients runs/digits digits --samples 10");
  of->callback([a] { gradients(*a); });
}

}  // namespace elbo::cli
