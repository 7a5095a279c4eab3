#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/evaluation/pictures.h"
#include "elbo/io/atomic_file.h"
#include "elbo/kernels/runtime.h"
#include "support/arguments.h"
#include "support/output.h"
#include "support/report.h"
#include "support/semi_supervised.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string out;
  RowsArguments rows;
  int64_t count = 10;
};

void draw(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.rows.run);
  const auto& model = semi_supervised(run, "styles");
  const auto rows = load_rows(run, a.rows);
  const auto source = rows.source(run);
  if (is_picture(a.out)) {
    io::write_file(a.out, styles_picture(run, source, a.count));
    return;
  }
  const auto batch =
      source.range(0, std::min(a.count, source.rows()), evaluation_noise(a.rows.seed));
  write_array(a.out, in_every_class(model, batch["x"]).flatten(1));
}

}  // namespace

void add_styles(CLI::App& program) {
  auto* command = program.add_subcommand(
      "styles", "Rows written anew in every class, each in its own style z2");
  auto a = std::make_shared<Arguments>();
  add_rows_arguments(*command, a->rows, "a sampled binarisation");
  command->add_option("--out", a->out, "FILE.png, or FILE.npy or FILE.csv: classes side by side")
      ->required();
  command->add_option("--count", a->count, "how many rows")->check(integer(1))->default_str("10");
  command->footer("Example: elbo styles runs/few-labels digits --out styles.png");
  command->callback([a] { draw(*a); });
}

}  // namespace elbo::cli
