#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
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
  std::string run, out;
  int64_t count = 100;
  uint64_t seed = 0;
  bool means = false, classes = false;
};

void sample(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.run);
  if (a.classes && is_picture(a.out)) {
    io::write_file(a.out, classes_picture(run, a.count, a.seed));
    return;
  }
  if (a.classes) {
    const auto& model = semi_supervised(run, "sample --classes");
    write_array(a.out, class_samples(model, a.count, Noise(a.seed).site("sample")).flatten(1));
    return;
  }
  if (is_picture(a.out)) {
    io::write_file(a.out, sample_picture(run, a.count, a.seed));
    return;
  }
  const Noise noise = Noise(a.seed).site("sample");
  write_array(a.out, a.means ? sample_means(*run.model, a.count, noise, run.options())
                             : sample_data(*run.model, a.count, noise, run.options()));
}

}  // namespace

void add_sample(CLI::App& program) {
  auto* command = program.add_subcommand("sample", "Random samples of x: a picture or an array");
  auto a = std::make_shared<Arguments>();
  command->add_option("RUN", a->run, "a run directory")->required();
  command->add_option("--out", a->out, "FILE.png (means), or FILE.npy or FILE.csv")->required();
  command->add_option("--count", a->count, "how many")->check(integer(1))->default_str("100");
  command->add_flag("--means", a->means, "in arrays: means of p(x|z) instead of draws");
  command->add_flag("--classes", a->classes,
                    "means of every class y, of a semi-supervised model, --count styles of each");
  add_seed(*command, a->seed, "of the draws");
  command->footer(
      "Example: elbo sample runs/digits --count 64 --out samples.png\n"
      "Example: elbo sample runs/few-labels --classes --count 10 --out classes.png");
  command->callback([a] { sample(*a); });
}

}  // namespace elbo::cli
