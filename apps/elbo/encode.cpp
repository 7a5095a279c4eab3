#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/kernels/runtime.h"
#include "support/loaded_run.h"
#include "support/output.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string out;
  RowsArguments rows;
  bool with_sigma = false;
};

void encode(const Arguments& a) {
  runtime::tune();
  const auto run = open_run(a.rows.run);
  const auto rows = load_rows(run, a.rows);
  const auto source = rows.source(run);
  const at::NoGradGuard no_grad;
  constexpr int64_t kChunk = 1000;
  std::vector<at::Tensor> codes;
  for (int64_t first = 0; first < source.rows(); first += kChunk) {
    const auto batch =
        source.range(first, std::min(kChunk, source.rows() - first), evaluation_noise(a.rows.seed));
    const auto q = run.model->encode(with_gaps(batch));
    codes.push_back(a.with_sigma ? at::cat({q.mean(), q.variance().sqrt()}, 1) : q.mean());
  }
  write_array(a.out, at::cat(codes));
}

}  // namespace

void add_encode(CLI::App& program) {
  auto* command = program.add_subcommand("encode", "Rows to latent codes: the mean of q(z|x)");
  auto a = std::make_shared<Arguments>();
  add_rows_arguments(*command, a->rows, "a sampled binarisation");
  command->add_option("--out", a->out, "FILE.npy or FILE.csv")->required();
  command->add_flag("--sigma", a->with_sigma, "append the standard deviations as more columns");
  command->footer("Example: elbo encode runs/digits digits --out codes.npy");
  command->callback([a] { encode(*a); });
}

}  // namespace elbo::cli
