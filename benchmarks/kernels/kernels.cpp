// The fused pieces of a training step beside their plain twins, at the sizes of W1: 100 rows,
// 784-500-20-500-784. `elbo_bench_kernels --help` lists the options of Google Benchmark.
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>

#include "elbo/data/batch_source.h"
#include "elbo/kernels/likelihood.h"
#include "elbo/kernels/linear.h"
#include "elbo/kernels/noise.h"
#include "elbo/kernels/runtime.h"
#include "elbo/optim/optimizer.h"

namespace {

using namespace elbo;
using benchmark::State;

constexpr int64_t kRows = 100, kData = 784, kHidden = 500, kLatent = 20;

at::Tensor normal(at::IntArrayRef shape, uint64_t seed) {
  return Noise(seed).normal(shape, at::kFloat);
}

/// Forward, and back to all arguments.
template <class F>
void both_ways(State& state, std::vector<at::Tensor> arguments, const F& f) {
  for (auto& a : arguments) a.requires_grad_();
  for (auto _ : state) {
    const auto y = f(arguments);
    const auto g = torch::autograd::grad({y}, arguments, {at::ones_like(y)});
    benchmark::DoNotOptimize(g.data());
  }
}

using Layer = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&, Activation);
void linear_tanh(State& state, Layer layer) {
  both_ways(state, {normal({kRows, kData}, 1), normal({kHidden, kData}, 2), normal({kHidden}, 3)},
            [&](const auto& a) { return layer(a[0], a[1], a[2], Activation::kTanh); });
}
BENCHMARK_CAPTURE(linear_tanh, fused, fused_linear)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(linear_tanh, twin, linear_twin)->Unit(benchmark::kMicrosecond);

void bernoulli(State& state, bool fused) {
  const auto x = Noise(1).uniform({kRows, kData}, at::kFloat);
  both_ways(state, {normal({kRows, kData}, 2)}, [&](const auto& a) {
    return fused ? bernoulli_log_prob_sum(a[0], x) : (x * a[0] + at::log_sigmoid(-a[0])).sum(-1);
  });
}
BENCHMARK_CAPTURE(bernoulli, fused, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(bernoulli, twin, false)->Unit(benchmark::kMicrosecond);

void normal_kl(State& state, bool fused) {
  both_ways(state, {normal({kRows, kLatent}, 1), normal({kRows, kLatent}, 2)}, [&](const auto& a) {
    return fused ? normal_kl_sum(a[0], a[1])
                 : 0.5 * (a[0].square() + a[1].exp() - a[1] - 1).sum(-1);
  });
}
BENCHMARK_CAPTURE(normal_kl, fused, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(normal_kl, twin, false)->Unit(benchmark::kMicrosecond);

void noise_normal(State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(normal({kRows, kLatent}, 1).data_ptr());
}
BENCHMARK(noise_normal)->Unit(benchmark::kMicrosecond);

void gather(State& state, data::Binarize binarize, bool fused) {
  const auto bytes = (Noise(1).uniform({10000, kData}, at::kFloat) * 256).to(at::kByte);
  const data::BatchSource source({.x = bytes}, 1.0 / 255, binarize, at::kFloat);
  const auto rows = at::randperm(10000).narrow(0, 0, kRows).contiguous();
  for (auto _ : state) {
    const auto x = fused ? source.gather(rows, Noise(1))["x"]
                         : data::to_float(bytes.index_select(0, rows), 1.0 / 255, at::kFloat);
    benchmark::DoNotOptimize(x.data_ptr());
  }
}
BENCHMARK_CAPTURE(gather, fused, data::Binarize::kNone, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(gather, drawn, data::Binarize::kSample, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(gather, twin, data::Binarize::kNone, false)->Unit(benchmark::kMicrosecond);

void optimizer(State& state, const char* name) {
  FlatParameters parameters({{"theta", {{"w", normal({824'204}, 1).requires_grad_()}}}});
  parameters.gradients().copy_(normal({824'204}, 2));
  const auto one = make_optimizer(name, parameters, 1e-3);
  const at::NoGradGuard no_grad;
  for (auto _ : state) one->step(parameters, parameters.all());
}
BENCHMARK_CAPTURE(optimizer, sgd, "sgd")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(optimizer, adagrad, "adagrad")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(optimizer, adam, "adam")->Unit(benchmark::kMicrosecond);

}  // namespace

int main(int argc, char** argv) {
  runtime::tune();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
