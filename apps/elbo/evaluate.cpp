#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/kernels/runtime.h"
#include "support/loaded_run.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string estimator = "elbo", form = "sgvb-b";
  RowsArguments rows;
  int64_t samples = 1;
  bool json = false;
};

void evaluate(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.rows.run);
  const auto rows = load_rows(run, a.rows);
  const auto source = rows.source(run);
  const EvaluateOptions options{
      .estimator = {.form = a.form == "sgvb-a" ? SgvbForm::kA : SgvbForm::kB,
                    .num_particles = a.samples},
      .seed = a.rows.seed};
  const auto result = evaluate_elbo(*run.model, source, options);
  const double sigma = smallest_sigma(*run.model, source, options);
  if (a.json) {
    nlohmann::json out = {{"estimator", a.estimator},
                          {"elbo", result.mean},
                          {"standard_error", result.standard_error},
                          {"reconstruction", result.reconstruction},
                          {"kl", result.kl},
                          {"rows", result.rows},
                          {"binarize", run.settings.word("binarize")}};
    if (std::isfinite(sigma)) out["smallest_sigma"] = sigma;
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("bound           {:.4f} nats per datum, standard error {:.4f} over {} rows\n",
             result.mean, result.standard_error, result.rows);
  fmt::print("reconstruction  {:.4f}\nKL              {:.4f}\n", result.reconstruction, result.kl);
  if (std::isfinite(sigma)) fmt::print("smallest sigma  {:.6g}\n", sigma);
  if (rows.set.images()) fmt::print("binarisation    {}\n", run.settings.word("binarize"));
}

}  // namespace

void add_evaluate(CLI::App& program) {
  auto* command = program.add_subcommand("evaluate", "The bound of a data set, in nats per datum");
  auto a = std::make_shared<Arguments>();
  add_rows_arguments(*command, a->rows, "the draws");
  command->add_option("--estimator", a->estimator, "what to estimate")
      ->check(CLI::IsMember({"elbo"}))
      ->default_str("elbo");
  command->add_option("--form", a->form, "AEVB eq 6 or eq 7")
      ->check(CLI::IsMember({"sgvb-a", "sgvb-b"}))
      ->default_str("sgvb-b");
  command->add_option("--samples", a->samples, "L, draws of z a row")
      ->check(CLI::PositiveNumber)
      ->default_str("1");
  command->add_flag("--json", a->json, "one JSON object on standard output");
  command->footer("Example: elbo evaluate runs/digits digits --samples 10");
  command->callback([a] { evaluate(*a); });
}

}  // namespace elbo::cli
