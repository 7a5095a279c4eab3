// Hamiltonian Monte Carlo in the posteriors of a batch of 1000 data of a VAE (3 latents, 100 hidden
// units), beside the ten gradient evaluations that a transition contains, and beside their matrix
// products alone: blocks of each in turn in one process, the ratio of each pair, its median and 95
// % bootstrap interval.
//
// The VAE is first trained on the built-in digits, so that the posteriors, and the acceptance that
// is printed, are those of a real model. Everything is float32.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "elbo/data/batch_source.h"
#include "elbo/data/data_set.h"
#include "elbo/inference/aevb.h"
#include "elbo/inference/diagnostics.h"
#include "elbo/inference/hmc_sampler.h"
#include "elbo/inference/latent_density.h"
#include "elbo/kernels/runtime.h"
#include "elbo/models/vae.h"
#include "step/limit.h"
#include "support/arguments.h"
#include "support/paired.h"

namespace {

using namespace elbo;
using bench::interval, bench::median, bench::time;

constexpr int64_t kLatent = 3, kHidden = 100, kLeapfrog = 10;

struct Settings {
  std::vector<int> threads = {1, 2};
  int pairs = 40;
  int64_t rows = 1000, training_steps = 2000;
};

void train(Vae& vae, const data::BatchSource& source, int64_t steps) {
  NamedParameters all;
  for (const auto& [segment, named] : vae.parameters())
    all.insert(all.end(), named.begin(), named.end());
  nn::initialise(all, nn::Init::kXavier, Noise(1).site("init"));
  FlatParameters parameters(vae.parameters());
  Aevb aevb(vae.model(), vae.guide(), parameters, std::make_unique<Adam>(parameters, 1e-3));
  for (int64_t t = 0; t < steps; ++t) {
    const Noise noise(1, static_cast<uint64_t>(t));
    const auto rows =
        (noise.site("rows").uniform({100}, at::kDouble) * static_cast<double>(source.rows()))
            .to(at::kLong);
    (void)aevb.step(source.gather(rows, noise), noise);
  }
}

/// The products of one gradient along the latents: no weight's gradient.
std::vector<bench::Product> products_of(int64_t rows, int64_t pixels) {
  std::vector<bench::Product> out;
  int64_t in = kLatent;
  for (const int64_t width : {kHidden, pixels}) {
    out.push_back({rows, width, in, false, true});
    out.push_back({rows, in, width, false, false});
    in = width;
  }
  return out;
}

void print(const char* what, int threads, const std::vector<double>& ours,
           const std::vector<double>& theirs) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / theirs[i]);
  const auto [low, high] = interval(ratios);
  std::printf("%s\t%d\t%.3f\t%.3f\t%.1f\t%.4f\t%.4f\t%.4f\n", what, threads, median(ours),
              median(theirs), 1000 / median(ours), median(ratios), low, high);
  std::fflush(stdout);
}

void run(const LatentDensity& density, HmcSampler& chains, int64_t pixels, int threads, int pairs) {
  runtime::tune({.threads = threads});
  const auto limit = bench::limit_of(products_of(density.rows(), pixels), false);
  const auto transition = [&] { (void)chains.step(); };
  const auto gradients = [&] {
    for (int64_t l = 0; l < kLeapfrog; ++l) (void)hmc_evaluate(density, chains.state().position);
  };
  const auto products = [&] {
    for (int64_t l = 0; l < kLeapfrog; ++l) limit();
  };
  time(transition, 5);
  std::vector<double> ours, theirs, least;
  for (int i = 0; i < pairs; ++i) {
    ours.push_back(time(transition, 1));
    theirs.push_back(time(gradients, 1));
    least.push_back(time(products, 1));
  }
  print("its gradients", threads, ours, theirs);
  print("their products", threads, ours, least);
}

void benchmark(const Settings& settings) {
  const auto digits = data::load("digits");
  const data::BatchSource source(digits.train, data::value_scale(digits), data::Binarize::kNone,
                                 at::kFloat);
  VaeConfig config;
  config.data_dim = source.dim();
  config.latent_dim = kLatent;
  config.hidden = {kHidden};
  Vae vae(config, at::kFloat);
  train(vae, source, settings.training_steps);
  const auto batch = source.range(0, settings.rows, Noise(2));
  const LatentDensity density(vae.model(), batch);
  const auto start =
      density.unconstrained(Trace::run(vae.guide(), batch, Noise(3), {.requires_grad = false}));
  HmcSampler chains(density, start, density.keyed(Noise(4)),
                    {.leapfrog_steps = kLeapfrog, .mass = HmcMass::kIdentity});
  chains.warm_up(200);
  std::printf("beside\tthreads\ttransition_ms\tother_ms\ttransitions_a_second\tratio\tlow\thigh\n");
  for (const int threads : settings.threads)
    run(density, chains, source.dim(), threads, settings.pairs);
  const auto drawn = chains.run(100);
  const auto size = bulk_effective_sample_size(drawn.position.unsqueeze(0));
  std::printf(
      "# acceptance of 100 transitions: mean %.3f, least row %.3f, largest %.3f; diverged %ld of "
      "%ld; median effective draws %.0f of 100; step size: median %.4f\n",
      drawn.acceptance.mean().item<double>(), drawn.acceptance.min().item<double>(),
      drawn.acceptance.max().item<double>(),
      static_cast<long>(drawn.divergences.sum().item<int64_t>()),
      static_cast<long>(100 * density.rows()), size.median().item<double>(),
      chains.step_size().median().item<double>());
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App program("Hamiltonian Monte Carlo beside its gradients and their products.",
                   "elbo_bench_hmc");
  program.add_option("--threads", settings.threads, "numbers of threads")
      ->capture_default_str()
      ->delimiter(',')
      ->check(bench::kPositive);
  program.add_option("--pairs", settings.pairs, "blocks of each kind")
      ->capture_default_str()
      ->check(bench::kPositive);
  program.add_option("--rows", settings.rows, "data, a chain each")
      ->capture_default_str()
      ->check(bench::kPositive);
  program.add_option("--training-steps", settings.training_steps, "of the model, before")
      ->capture_default_str()
      ->check(bench::kPositive);
  program.footer("Example: elbo_bench_hmc --threads 2 --pairs 10");
  bench::parse(program, argc, argv);
  benchmark(settings);
}
