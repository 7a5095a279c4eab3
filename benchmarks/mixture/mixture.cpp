// EM of a Gaussian mixture with full covariances, as `elbo train --model mixture` runs it. One
// line, tab-separated: of a file, 20 iterations from its first rows, ms an iteration (median,
// least, most) and the log likelihood; of a stream, one iteration over rows made as they are read,
// seconds, peak memory in MiB and the log likelihood.
#include "elbo/models/mixture.h"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "elbo/data/read.h"
#include "elbo/data/tensor.h"
#include "elbo/inference/em.h"
#include "elbo/kernels/runtime.h"
#include "support/arguments.h"

namespace {

using namespace elbo;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Equal weights, unit covariances, means at the first rows.
void start_at(const Mixture& mixture, const at::Tensor& means) {
  const int64_t k = means.size(0), d = means.size(1);
  for (auto& [name, parameter] : named_parameters(mixture)) {
    if (name == "weights") parameter.fill_(1 / static_cast<double>(k));
    if (name == "normal.loc") parameter.copy_(means);
    if (name == "normal.scale_tril") parameter.copy_(at::eye(d, at::kDouble).expand({k, d, d}));
  }
}

void from_file(const std::string& path, int64_t components, int64_t repeats) {
  constexpr int kIterations = 20;
  const auto x = data::to_tensor(data::read_array(path)).to(at::kDouble);
  // The peer has no floor.
  const Mixture mixture(
      {.data_dim = x.size(1), .components = components, .covariance_floor = 1e-12}, at::kDouble);
  std::vector<double> times;
  double log_likelihood = 0;
  for (int64_t r = 0; r < repeats; ++r) {
    start_at(mixture, x.narrow(0, 0, components));
    Em em(mixture.model(), mixture.m_steps());
    for (int i = 0; i < kIterations; ++i) {
      const auto start = Clock::now();
      log_likelihood = em.iterate(stream_of(x));
      times.push_back(ms_since(start));
    }
  }
  std::sort(times.begin(), times.end());
  std::printf("%.2f\t%.2f\t%.2f\t%.9f\n", times[times.size() / 2], times.front(), times.back(),
              log_likelihood);
}

void from_stream(int64_t total) {
  constexpr int64_t kDim = 20, kComponents = 20;
  const Noise noise(1);
  const auto centres = 2 * noise.site("centres").normal({kComponents, kDim}, at::kDouble);
  const RowStream rows{
      total, [&](int64_t first, int64_t count) {
        const auto ids = at::arange(first, first + count, at::kLong);
        auto x = noise.site("x").rows(ids).normal({1, count, kDim}, at::kDouble)[0];
        x += centres.index_select(0, ids.remainder(kComponents));
        return Batch{.columns = {{"x", x}}, .rows = ids, .total = total};
      }};
  const Mixture mixture({.data_dim = kDim, .components = kComponents}, at::kDouble);
  start_at(mixture, centres + 0.5);
  Em em(mixture.model(), mixture.m_steps());
  const auto start = Clock::now();
  const double log_likelihood = em.iterate(rows);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%.1f\t%.0f\t%.6f\n", ms_since(start) / 1000,
              static_cast<double>(usage.ru_maxrss) / 1024, log_likelihood);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1;
  std::string rows;
  int64_t number = 0, repeats = 3;
  CLI::App program("EM of a Gaussian mixture with full covariances.", "elbo_bench_mixture");
  program.add_option("THREADS", threads, "their number")->required()->check(bench::kPositive);
  program.add_option("ROWS", rows, "X.npy, or stream: rows made as they are read")->required();
  program.add_option("NUMBER", number, "of components; of a stream's rows")
      ->required()
      ->check(bench::kPositive);
  program.add_option("REPEATS", repeats, "of a file's 20 iterations")
      ->capture_default_str()
      ->check(bench::kPositive);
  program.footer("Example: elbo_bench_mixture 2 stream 10000000");
  bench::parse(program, argc, argv);
  runtime::tune({.threads = threads});
  if (rows == "stream")
    from_stream(number);
  else
    from_file(rows, number, repeats);
  return 0;
}
