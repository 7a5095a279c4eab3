#include <ATen/ATen.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "elbo/evaluation/classification.h"
#include "elbo/kernels/runtime.h"
#include "support/output.h"
#include "support/semi_supervised.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string out, probabilities;
  RowsArguments rows;
  bool json = false;
};

void classify(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.rows.run);
  const auto& model = semi_supervised(run, "classify");
  const auto rows = load_rows(run, a.rows);
  const auto found = class_probabilities(model, rows.source(run), a.rows.seed);
  const auto classes = found.argmax(1);
  if (!a.out.empty()) write_array(a.out, classes);
  if (!a.probabilities.empty()) write_array(a.probabilities, found);

  nlohmann::json out = {{"rows", found.size(0)}};
  if (rows.part.labels.defined()) {
    const auto e = error_rate(found, rows.part.labels);
    out.update({{"errors", e.errors}, {"error", e.rate}, {"standard_error", e.standard_error}});
  }
  if (a.json) {
    fmt::print("{}\n", out.dump());
    return;
  }
  if (out.contains("error"))
    fmt::print("error {:.2f} % ({} of {} rows; standard error {:.2f} %)\n",
               100 * out["error"].get<double>(), out["errors"].get<int64_t>(), found.size(0),
               100 * out["standard_error"].get<double>());
  else
    fmt::print("{} rows; without labels there is no error rate\n", found.size(0));
}

}  // namespace

void add_classify(CLI::App& program) {
  auto* command = program.add_subcommand(
      "classify", "Rows to classes by q(y|x), and the error rate where labels are known");
  auto a = std::make_shared<Arguments>();
  add_rows_arguments(*command, a->rows, "a sampled binarisation");
  command->add_option("--out", a->out, "FILE.npy or FILE.csv: the likeliest class of each row");
  command->add_option("--probabilities", a->probabilities,
                      "FILE.npy or FILE.csv: q(y|x), a column a class");
  command->add_flag("--json", a->json, "one JSON object on standard output");
  command->footer("Example: elbo classify runs/few-labels digits --out classes.csv");
  command->callback([a] { classify(*a); });
}

}  // namespace elbo::cli
