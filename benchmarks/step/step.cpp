// A training step beside its matrix products alone, in one process: blocks of the one and of the
// other in turn, the ratio of each pair, their median and its 95 % bootstrap interval.
//
// Prints a line a workload and number of threads: ms a step (median, least, largest), ms of the
// limit, the ratio and its interval. A step gathers its rows, runs both programs, their backward
// pass and the optimiser, as training does.
#include <ATen/ATen.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "elbo/data/batch_source.h"
#include "elbo/estimators/importance_weighted.h"
#include "elbo/inference/aevb.h"
#include "elbo/kernels/linear.h"
#include "elbo/kernels/plan.h"
#include "elbo/kernels/runtime.h"
#include "elbo/models/vae.h"
#include "limit.h"
#include "support/arguments.h"
#include "support/paired.h"

namespace {

using namespace elbo;
using bench::interval, bench::median, bench::time;

struct Workload {
  std::string name;
  int64_t data_dim;
  std::vector<int64_t> hidden;
  int64_t latent, rows;
  int64_t particles = 1;
  Likelihood likelihood = Likelihood::kBernoulli;
};

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = {
      {"w1", 784, {500}, 20, 100},
      {"w2", 784, {200, 200}, 50, 20, 50},
      {"w3", 784, {2000}, 50, 1000},
      {"w5", 560, {200}, 2, 100, 1, Likelihood::kGaussian},
  };
  return all;
}

/// The step's products, the heads of a network merged into one.
std::vector<bench::Product> products_of(const Workload& w) {
  std::vector<bench::Product> out;
  int64_t in = w.data_dim;
  for (const int64_t width : w.hidden) {
    bench::append_layer(out, w.rows, in, width, in != w.data_dim);
    in = width;
  }
  bench::append_layer(out, w.rows, in, 2 * w.latent, true);
  in = w.latent;
  const int64_t rows = w.rows * w.particles;
  for (auto width = w.hidden.rbegin(); width != w.hidden.rend(); ++width) {
    bench::append_layer(out, rows, in, *width, true);
    in = *width;
  }
  const bool two_heads = w.likelihood == Likelihood::kGaussian;
  bench::append_layer(out, rows, in, (two_heads ? 2 : 1) * w.data_dim, true);
  return out;
}

struct Settings {
  std::string optimizer = "adam";
  bool bfloat16 = false, planned = true, floor = false, speedup = false;
  at::Device device = at::kCPU;
  int pairs = 40;
  int64_t steps = 0;  // for these alone
};

/// Bytes as grey as noise.
data::Part grey_part(int64_t rows, int64_t columns) {
  data::Part part;
  part.x = (Noise(7).uniform({rows, columns}, at::kFloat) * 256).to(at::kByte);
  return part;
}

/// Training as the program does it.
class Training {
 public:
  Training(const Workload& w, const Settings& settings, int64_t rows = 10000)
      : batch_rows_(w.rows),
        vae_(config_of(w), type_of(settings)),
        source_(grey_part(rows, w.data_dim), 1.0 / 255, data::Binarize::kNone, type_of(settings)) {
    NamedParameters all;
    for (const auto& [segment, named] : vae_.parameters())
      all.insert(all.end(), named.begin(), named.end());
    nn::initialise(all, nn::Init::kXavier, Noise(1).site("init"));
    FlatParameters parameters(vae_.parameters());
    auto chosen = make_optimizer(settings.optimizer, parameters, 1e-3);
    AevbOptions options{
        .weight_prior = 1, .bfloat16_products = settings.bfloat16, .planned = settings.planned};
    if (w.particles > 1) options.estimator = ImportanceWeighted{w.particles};
    learner_ = std::make_unique<Aevb>(vae_.model(), vae_.guide(), std::move(parameters),
                                      std::move(chosen), std::move(options));
    order_ = data::epoch_order(1, 0, rows);
  }

  double step() {
    if (next_ + batch_rows_ > static_cast<int64_t>(order_.size())) next_ = 0;
    const auto rows = at::tensor(
        at::ArrayRef<int64_t>(order_.data() + next_, static_cast<size_t>(batch_rows_)), at::kLong);
    next_ += batch_rows_;
    const Noise noise(1, ++steps_);
    batch_ = source_.gather(rows, noise, batch_);
    return learner_->step(batch_, noise).elbo;
  }

 private:
  static at::TensorOptions type_of(const Settings& settings) {
    return at::TensorOptions(at::kFloat).device(settings.device);
  }
  static VaeConfig config_of(const Workload& w) {
    VaeConfig config;
    config.data_dim = w.data_dim;
    config.latent_dim = w.latent;
    config.hidden = w.hidden;
    config.likelihood = w.likelihood;
    return config;
  }

  int64_t batch_rows_;
  Vae vae_;
  data::BatchSource source_;
  Batch batch_;
  std::unique_ptr<Aevb> learner_;
  std::vector<int64_t> order_;
  int64_t next_ = 0;
  uint64_t steps_ = 0;
};

/// W6, inference with W1's network by batches of `kInferenceRows`: what runs, and its products.
struct Inference {
  std::string name;
  std::function<void()> run;
  std::vector<bench::Product> products;
  int64_t batches;  // that the whole has: 1e6 rows to encode, 1e5 codes, a test set of 1e4
};
constexpr int64_t kInferenceRows = 500;

std::vector<Inference> inferences() {
  VaeConfig config;
  config.data_dim = 784;
  config.latent_dim = 20;
  config.hidden = {500};
  const auto vae = std::make_shared<Vae>(config, at::kFloat);
  for (const auto& [segment, named] : vae->parameters())
    nn::initialise(named, nn::Init::kXavier, Noise(1).site("init"));
  const auto source = std::make_shared<data::BatchSource>(grey_part(10000, 784), 1.0 / 255,
                                                          data::Binarize::kNone, at::kFloat);
  const auto z = Noise(3).normal({kInferenceRows, 20}, at::kFloat);
  auto next = [source, first = int64_t{0}]() mutable {
    first = (first + kInferenceRows) % source->rows();
    return source->range(first, kInferenceRows, Noise(1));
  };
  std::vector<bench::Product> encoder, decoder, both;
  bench::append_forward(encoder, kInferenceRows, 784, 500);
  bench::append_forward(encoder, kInferenceRows, 500, 40);
  bench::append_forward(decoder, kInferenceRows, 20, 500);
  bench::append_forward(decoder, kInferenceRows, 500, 784);
  both = encoder;
  both.insert(both.end(), decoder.begin(), decoder.end());
  return {{"w6 encode",
           [vae, next]() mutable {
             const at::NoGradGuard no_grad;
             const auto q = vae->encode(next()["x"]);
             (void)q.mean();
             (void)q.variance();
           },
           encoder, 1'000'000 / kInferenceRows},
          {"w6 decode",
           [vae, z] {
             const at::NoGradGuard no_grad;
             (void)vae->decode(z).mean();
           },
           decoder, 100'000 / kInferenceRows},
          {"w6 bound",
           [vae, next, step = uint64_t{0}]() mutable {
             const at::NoGradGuard no_grad;
             (void)Sgvb{}(vae->model(), vae->guide(), next(), Noise(1, ++step)).rows().mean();
           },
           both, 10'000 / kInferenceRows}};
}

std::string type_of(const Settings& settings) { return settings.bfloat16 ? "bfloat16" : "float32"; }

/// A line of the table: `step` beside `limit`, ms of `whole` such steps.
void compare(const std::string& workload, const std::string& program, int threads, int pairs,
             const std::function<void()>& step, const std::function<void()>& limit,
             double whole = 1) {
  // Blocks of some 40 ms, after as much to warm up.
  const auto per_block = static_cast<int64_t>(std::ceil(40 / (time(limit, 3), time(limit, 3))));
  time(step, std::max<int64_t>(12, per_block));
  std::vector<double> ours, limits, ratios;
  for (int i = 0; i < pairs; ++i) {
    ours.push_back(time(step, per_block));
    limits.push_back(time(limit, per_block));
    ratios.push_back(ours.back() / limits.back());
  }
  const auto [low, high] = interval(ratios);
  std::printf("%s\t%s\t%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\n", workload.c_str(),
              program.c_str(), threads, whole * median(ours),
              whole * *std::min_element(ours.begin(), ours.end()),
              whole * *std::max_element(ours.begin(), ours.end()), whole * median(limits),
              median(ratios), low, high);
  std::fflush(stdout);
}

/// The products, and what the optimiser has to read of memory, each number once.
std::function<void()> floor_of(const Workload& w, const Settings& settings) {
  const auto products = products_of(w);
  int64_t weights = 0;
  for (const auto& product : products)
    if (product.a_transposed) weights += product.m * product.n;
  const int64_t states = settings.optimizer == "adam" ? 2 : settings.optimizer == "adagrad" ? 1 : 0;
  return [limit = bench::limit_of(products, settings.bfloat16),
          memory = at::ones({(2 + states) * weights}, at::kFloat)] {
    limit();
    (void)memory.sum();
  };
}

/// Times the step on one thread beside `threads`, and its products likewise.
void compare_with_one(const Workload& w, const std::string& how, int threads,
                      const Settings& settings) {
  // Not at::set_num_threads, which at each change starts threads of a pool of its own: those look
  // for work for some 20 ms.
  const auto on = [](int count, std::function<void()> call) {
    return [count, call = std::move(call)] {
      omp_set_num_threads(count);
      call();
    };
  };
  Training one(w, settings), several(w, settings);
  compare(w.name, "speedup " + how, threads, settings.pairs, on(1, [&] { one.step(); }),
          on(threads, [&] { several.step(); }));
  const auto limit = [&](int count) {
    omp_set_num_threads(count);  // oneDNN plans some products for so many
    return on(count, bench::limit_of(products_of(w), settings.bfloat16));
  };
  const auto of_one = limit(1), of_several = limit(threads);
  compare(w.name, "speedup limit " + type_of(settings), threads, settings.pairs, of_one,
          of_several);
}

/// A step that instructions.py finds by name.
__attribute__((noinline)) void counted_step(Training& training) { training.step(); }

void run(const Workload& w, int threads, const Settings& settings) {
  runtime::tune({.threads = threads});
  const std::string how = settings.optimizer + " " + type_of(settings) +
                          (settings.device.is_cpu() ? "" : " " + settings.device.str()) +
                          (settings.planned ? "" : " unplanned");
  if (settings.speedup) return compare_with_one(w, how, threads, settings);
  const auto limit = settings.device.is_cpu() ? bench::limit_of(products_of(w), settings.bfloat16)
                                              : bench::limit_on(settings.device, products_of(w));
  if (settings.floor)
    return compare(w.name, "floor " + how, threads, settings.pairs, floor_of(w, settings), limit);
  Training training(w, settings);
  if (settings.steps > 0) {
    for (int i = 0; i < 8; ++i) training.step();
    for (int64_t i = 0; i < settings.steps; ++i) counted_step(training);
    return;
  }
  compare(
      w.name, "elbo " + how, threads, settings.pairs, [&] { training.step(); }, limit);
}

void run_inference(int threads, int pairs) {
  runtime::tune({.threads = threads});
  for (const auto& task : inferences())
    compare(task.name, "elbo float32", threads, pairs, task.run,
            bench::limit_of(task.products, false), static_cast<double>(task.batches));
}

int refuse(int code, const std::string& why) {
  std::fprintf(stderr, "elbo_bench_step: %s\n", why.c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::set<std::string> known = {"w6"}, names;
  for (const auto& w : workloads()) known.insert(w.name);
  std::vector<int> threads = {1, 2};
  Settings settings;
  bool unplanned = false;
  std::string device = "cpu";
  CLI::App program("A training step beside its matrix products alone.", "elbo_bench_step");
  program
      .add_option("WORKLOAD", names,
                  "w1, w2, w3 or w5, or w6: inference, ms of 1e6 rows encoded, 1e5 "
                  "codes decoded and the bound of 1e4 rows (all)")
      ->check(CLI::IsMember(known));
  program.add_option("--threads", threads, "numbers of threads")
      ->capture_default_str()
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(bench::kPositive);
  program.add_option("--pairs", settings.pairs, "blocks of each kind")
      ->capture_default_str()
      ->check(bench::kPositive);
  program.add_option("--optimizer", settings.optimizer, "of the step")
      ->capture_default_str()
      ->check(CLI::IsMember({"adam", "adagrad", "sgd"}));
  program.add_flag("--bfloat16", settings.bfloat16, "products in bfloat16, of both");
  program.add_flag("--unplanned", unplanned, "run the programs at every step");
  auto* floor = program.add_flag(
      "--floor", settings.floor,
      "take for the step its products and one look at each parameter, its gradient and "
      "the optimiser's state, which no step can do without");
  auto* speedup =
      program.add_flag("--speedup", settings.speedup,
                       "the step, and its products, on one thread beside the same on these: the "
                       "ratio says how many times as fast that is");
  program
      .add_option(
          "--steps", settings.steps,
          "make so many, after the plan's recording, and measure nothing: for instructions.py")
      ->check(bench::kPositive)
      ->excludes(floor)
      ->excludes(speedup);
  speedup->excludes(floor);
  program
      .add_option("--device", device,
                  "cuda: step and products as graphs of it, each waited for once a step")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "cuda"}));
  program.footer("Example: elbo_bench_step w1 w3 --threads 2 --pairs 40");
  bench::parse(program, argc, argv);
  settings.planned = !unplanned;
  settings.device = at::Device(device);
  const bool on_cpu = settings.device.is_cpu();
  if (!on_cpu && (settings.bfloat16 || settings.floor || settings.speedup || names.contains("w6")))
    return refuse(
        EX_USAGE,
        "--device cuda: expected w1, w2, w3 or w5 in float32, without --floor or --speedup");
  if (settings.speedup && names.contains("w6"))
    return refuse(EX_USAGE, "--speedup: expected training steps, w1, w2, w3 or w5");
  if (!on_cpu && !(at::hasCUDA() && Plan::can_record(settings.device)))
    return refuse(EX_CONFIG, "--device cuda: this build or this machine has none");
  if (settings.bfloat16 && !has_bfloat16_products())
    return refuse(EX_CONFIG, "--bfloat16: this processor does not multiply it");
  std::printf("workload\tprogram\tthreads\tms\tmin\tmax\tlimit_ms\tratio\tlow\thigh\n");
  const auto& chosen = names.empty() ? known : names;
  for (const auto& w : workloads())
    if (chosen.contains(w.name))
      for (const int t : threads) run(w, t, settings);
  if (on_cpu && !settings.speedup && chosen.contains("w6"))
    for (const int t : threads) run_inference(t, settings.pairs);
}
