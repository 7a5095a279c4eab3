#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "elbo/evaluation/pictures.h"
#include "elbo/io/atomic_file.h"
#include "elbo/kernels/runtime.h"
#include "support/arguments.h"
#include "support/output.h"
#include "support/report.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string run, out;
  int64_t side = 20;
  uint64_t seed = 0;
};

void draw(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.run);
  if (is_picture(a.out))
    io::write_file(a.out, manifold_picture(run, a.side));
  else
    write_array(a.out, manifold(*run.model, a.side, run.options()));
}

}  // namespace

void add_manifold(CLI::App& program) {
  auto* command = program.add_subcommand(
      "manifold", "What a two-dimensional latent space holds (AEVB figure 4)");
  auto a = std::make_shared<Arguments>();
  command->add_option("RUN", a->run, "a run directory, trained with --latent 2")->required();
  command->add_option("--out", a->out, "FILE.png, or FILE.npy or FILE.csv")->required();
  command->add_option("--side", a->side, "points along each axis")
      ->check(integer(1))
      ->default_str("20");
  add_seed(*command, a->seed, "not used: the grid is fixed");
  command->footer("Example: elbo manifold runs/digits-2d --out manifold.png");
  command->callback([a] { draw(*a); });
}

}  // namespace elbo::cli
