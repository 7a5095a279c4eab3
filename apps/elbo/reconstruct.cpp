#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/evaluation/pictures.h"
#include "elbo/io/atomic_file.h"
#include "elbo/kernels/runtime.h"
#include "support/output.h"
#include "support/report.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string out;
  RowsArguments rows;
};

void draw(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.rows.run);
  const auto rows = load_rows(run, a.rows);
  const auto source = rows.source(run);
  if (is_picture(a.out)) {
    const int64_t count = a.rows.limit > 0 ? a.rows.limit : 50;
    io::write_file(a.out, reconstruction_picture(run, source, count));
    return;
  }
  const auto x = source.range(0, source.rows(), evaluation_noise(a.rows.seed));
  write_array(a.out, reconstruct(*run.model, with_gaps(x)));
}

}  // namespace

void add_reconstruct(CLI::App& program) {
  auto* command =
      program.add_subcommand("reconstruct", "Rows through encoder and decoder, beside originals");
  auto a = std::make_shared<Arguments>();
  add_rows_arguments(*command, a->rows, "a sampled binarisation");
  command->add_option("--out", a->out, "FILE.png, or FILE.npy or FILE.csv")->required();
  command->footer("Example: elbo reconstruct runs/digits digits --out reconstructions.png");
  command->callback([a] { draw(*a); });
}

}  // namespace elbo::cli
