#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>

#include "commands.h"
#include "elbo/io/atomic_file.h"
#include "elbo/kernels/runtime.h"
#include "elbo/plotting/image_grid.h"
#include "support/arguments.h"
#include "support/loaded_run.h"
#include "support/output.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string run, z, out;
  uint64_t seed = 0;
};

void decode(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.run);
  const auto z = read_matrix(a.z, run.options());
  if (z.size(1) != run.model->latent_dim())
    throw DataError(fmt::format("{}: {} columns; expected {}, the latent dimensions", a.z,
                                z.size(1), run.model->latent_dim()));
  const at::NoGradGuard no_grad;
  const auto x = run.model->decode(z).mean();
  if (!is_picture(a.out)) {
    write_array(a.out, x);
    return;
  }
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(x.size(0)))));
  io::write_file(a.out, plotting::image_grid_png(run.as_images(x, "decode"),
                                                 {.columns = columns, .scale = 2}));
}

}  // namespace

void add_decode(CLI::App& program) {
  auto* command = program.add_subcommand("decode", "Latent codes to the mean of p(x|z)");
  auto a = std::make_shared<Arguments>();
  command->add_option("RUN", a->run, "a run directory")->required();
  command->add_option("Z", a->z, "codes, a row each: .npy or .csv")->required();
  command->add_option("--out", a->out, "FILE.png, or FILE.npy or FILE.csv")->required();
  add_seed(*command, a->seed, "not used: means are decoded");
  command->footer("Example: elbo decode runs/digits codes.npy --out decoded.png");
  command->callback([a] { decode(*a); });
}

}  // namespace elbo::cli
