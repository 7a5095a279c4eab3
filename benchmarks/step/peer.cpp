// A training step in plain libtorch, torch::nn and torch::optim, of the workloads of step.cpp: the
// twin of peer.py, without Python. Settings of the BLAS and the allocator are the environment's.
//
// Prints a line: workload, program, threads, ms a step (median, least, largest of groups).
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "support/arguments.h"
#include "support/paired.h"

namespace {

using torch::Tensor;

struct Shape {
  int64_t data;
  std::vector<int64_t> hidden;
  int64_t latent, rows, particles;
  int steps;  // a group
};

const std::map<std::string, Shape>& shapes() {
  static const std::map<std::string, Shape> all = {{"w1", {784, {500}, 20, 100, 1, 40}},
                                                   {"w2", {784, {200, 200}, 50, 20, 50, 15}},
                                                   {"w3", {784, {2000}, 50, 1000, 1, 2}}};
  return all;
}

torch::nn::Sequential mlp(const std::vector<int64_t>& widths) {
  torch::nn::Sequential layers;
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    layers->push_back(torch::nn::Linear(widths[i], widths[i + 1]));
    layers->push_back(torch::nn::Tanh());
  }
  return layers;
}

/// Tanh layers, Bernoulli logits; the KL in closed form, or importance samples.
struct PlainVae : torch::nn::Module {
  explicit PlainVae(const Shape& s) : particles(s.particles) {
    std::vector<int64_t> down = {s.data}, up = {s.latent};
    down.insert(down.end(), s.hidden.begin(), s.hidden.end());
    up.insert(up.end(), s.hidden.rbegin(), s.hidden.rend());
    encoder = register_module("encoder", mlp(down));
    mu = register_module("mu", torch::nn::Linear(down.back(), s.latent));
    log_var = register_module("log_var", torch::nn::Linear(down.back(), s.latent));
    decoder = register_module("decoder", mlp(up));
    out = register_module("out", torch::nn::Linear(up.back(), s.data));
  }

  Tensor loss(const Tensor& x) {
    const Tensor h = encoder->forward(x), m = mu(h), v = log_var(h);
    std::vector<int64_t> drawn = m.sizes().vec();
    if (particles > 1) drawn.insert(drawn.begin(), particles);
    const Tensor eps = torch::randn(drawn);
    const Tensor z = m + torch::exp(0.5 * v) * eps;
    const Tensor logits = out(decoder->forward(z));
    if (particles == 1) {
      const Tensor reconstruction =
          torch::binary_cross_entropy_with_logits(logits, x, {}, {}, at::Reduction::Sum);
      const Tensor kl = -0.5 * torch::sum(1 + v - m * m - v.exp());
      return (reconstruction + kl) / static_cast<double>(x.size(0));
    }
    const Tensor log_px = (x * logits - torch::softplus(logits)).sum(-1);
    // The terms of log(2 pi) of log p(z) and log q(z|x) cancel.
    const Tensor log_w = log_px + 0.5 * (eps * eps + v - z * z).sum(-1);
    return (std::log(static_cast<double>(particles)) - torch::logsumexp(log_w, 0)).mean();
  }

  int64_t particles;
  torch::nn::Sequential encoder{nullptr}, decoder{nullptr};
  torch::nn::Linear mu{nullptr}, log_var{nullptr}, out{nullptr};
};

class Training {
 public:
  Training(const Shape& shape, bool as_installed)
      : as_installed_(as_installed),
        rows_(shape.rows),
        vae_(shape),
        adam_(vae_.parameters(), torch::optim::AdamOptions(1e-3)),
        x_((torch::rand({10000, shape.data}) * 256).floor() / 255) {}

  void step() {
    if (next_ + rows_ > order_.size(0)) {
      order_ = torch::randperm(x_.size(0), torch::kLong);
      next_ = 0;
    }
    const Tensor x = x_.index_select(0, order_.narrow(0, next_, rows_));
    next_ += rows_;
    for (auto& parameter : vae_.parameters()) {
      Tensor& gradient = parameter.mutable_grad();
      if (!as_installed_)
        gradient.reset();
      else if (gradient.defined())
        gradient.zero_();
    }
    const Tensor loss = vae_.loss(x);
    loss.backward();
    adam_.step();
    if (as_installed_) (void)loss.item<float>();
  }

 private:
  bool as_installed_;
  int64_t rows_, next_ = 0;
  PlainVae vae_;
  torch::optim::Adam adam_;
  Tensor x_, order_ = torch::empty({0}, torch::kLong);
};

}  // namespace

int main(int argc, char** argv) {
  std::string workload, label = "libtorch C++ adam";
  bool as_installed = false;
  int threads = 0;
  CLI::App program("The same training step in plain libtorch.", "elbo_peer_step");
  program.add_option("WORKLOAD", workload, "w1, w2 or w3")
      ->required()
      ->check(CLI::IsMember(shapes()));
  program.add_option("--threads", threads, "of libtorch's (its own number)")
      ->check(elbo::bench::kPositive);
  program.add_flag("--as-installed", as_installed,
                   "clear gradients in place, read the loss at each step and flush no denormals");
  program.add_option("--label", label, "what to call it");
  program.footer("Example: elbo_peer_step w1 --threads 2");
  elbo::bench::parse(program, argc, argv);
  if (threads > 0) torch::set_num_threads(threads);
  const Shape& shape = shapes().at(workload);
  torch::manual_seed(0);
  if (!as_installed) at::globalContext().setFlushDenormal(true);
  const int steps = shape.steps;
  Training training(shape, as_installed);
  const auto group = [&] { return elbo::bench::time([&] { training.step(); }, steps); };
  group();
  std::vector<double> ms(9);
  std::generate(ms.begin(), ms.end(), group);
  std::printf("%s\t%s\t%d\t%.3f\t%.3f\t%.3f\n", workload.c_str(), label.c_str(),
              torch::get_num_threads(), elbo::bench::median(ms),
              *std::min_element(ms.begin(), ms.end()), *std::max_element(ms.begin(), ms.end()));
}
