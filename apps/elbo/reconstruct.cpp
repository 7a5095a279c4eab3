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
  std::string run, data, out;
  RowsOf which;
  uint64_t seed = 0;
};

void draw(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.run);
  const auto rows = load_rows(run, a.data, a.which);
  const auto source = rows.source(run);
  if (is_picture(a.out)) {
    const int64_t count = a.which.limit > 0 ? a.which.limit : 50;
    io::write_file(a.out, reconstruction_picture(run, source, count));
    return;
  }
  const auto x = source.range(0, source.rows(), evaluation_noise(a.seed));
  write_array(a.out, reconstruct(*run.model, x["x"]));
}

}  // namespace

void add_reconstruct(CLI::App& program) {
  auto* command =
      program.add_subcommand("reconstruct", "Rows through encoder and decoder, beside originals");
  auto a = std::make_shared<Arguments>();
  command->add_option("RUN", a->run, "a run directory")->required();
  command->add_option("DATA", a->data, "a data set's name or file")->required();
  command->add_option("--out", a->out, "FILE.png, or FILE.npy or FILE.csv")->required();
  command->add_option("--seed", a->seed, "of a sampled binarisation")->default_str("0");
  add_rows_flags(*command, a->which);
  command->footer("Example: elbo reconstruct runs/digits digits --out reconstructions.png");
  command->callback([a] { draw(*a); });
}

}  // namespace elbo::cli
