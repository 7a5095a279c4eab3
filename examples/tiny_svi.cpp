// Expected: bound = log evidence to 1e-2: yes
// The reader's door: a trace, one ELBO and its gradient, written out by themselves with nothing of
// the library but ATen. Everything else in elbo is this, done carefully.
//
// Model: z ~ N(0, 1), x ~ N(z, 1). Guide: z ~ N(m, s^2). The evidence log p(x) = log N(x; 0, 2) is
// the bound's maximum, at m = x / 2, s^2 = 1/2.
#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <string>

namespace {

constexpr double kLogTwoPi = 1.8378770664093453;

struct Normal {
  at::Tensor loc, scale;
  at::Tensor log_prob(const at::Tensor& x) const {
    return -0.5 * ((x - loc) / scale).square() - scale.log() - 0.5 * kLogTwoPi;
  }
};

// A trace remembers, by name, what was drawn and how probable it was. Its `given` values are used
// instead of drawing: so a model is replayed on what the guide drew.
struct Trace {
  struct Site {
    at::Tensor value, log_prob;
  };
  std::map<std::string, Site> sites;
  std::map<std::string, at::Tensor> given;
  at::Tensor epsilon;  // the noise, handed in: the trace itself is deterministic

  at::Tensor sample(const std::string& name, const Normal& p) {
    const auto found = given.find(name);
    // Reparameterisation (AEVB 2.4): z = mu + sigma * epsilon, differentiable in mu and sigma.
    const auto value = found != given.end() ? found->second : p.loc + p.scale * epsilon;
    sites[name] = {value, p.log_prob(value)};
    return value;
  }
  void observe(const std::string& name, const Normal& p, const at::Tensor& x) {
    sites[name] = {x, p.log_prob(x)};
  }
  at::Tensor log_prob() const {
    at::Tensor sum = at::zeros({}, at::kDouble);
    for (const auto& [name, site] : sites) sum = sum + site.log_prob;
    return sum;
  }
};

using Program = std::function<void(Trace&)>;

// SGVB-A (AEVB eq 6): log p(x, z) - log q(z), z ~ q.
at::Tensor elbo(const Program& model, const Program& guide, const at::Tensor& epsilon) {
  Trace q;
  q.epsilon = epsilon;
  guide(q);
  Trace p;
  for (const auto& [name, site] : q.sites) p.given[name] = site.value;
  model(p);
  return (p.log_prob() - q.log_prob()).mean();
}

}  // namespace

int main() {
  const auto x = at::full({}, 1.3, at::kDouble);
  const auto zero = at::zeros({}, at::kDouble), one = at::ones({}, at::kDouble);
  auto m = at::zeros({}, at::kDouble).requires_grad_();
  auto log_s = at::zeros({}, at::kDouble).requires_grad_();

  const Program model = [&](Trace& t) {
    const auto z = t.sample("z", {zero, one});
    t.observe("x", {z, one}, x);
  };
  const Program guide = [&](Trace& t) { t.sample("z", {m, log_s.exp()}); };

  // Stratified normal noise, the quantiles at the midpoints of n cells: plenty for one dimension.
  const int64_t n = 1000;
  const auto epsilon = at::special_ndtri((at::arange(n, at::kDouble) + 0.5) / double(n));
  double bound = 0;
  for (int step = 0; step < 500; ++step) {
    const auto objective = elbo(model, guide, epsilon);
    bound = objective.item<double>();
    objective.backward();
    const at::NoGradGuard no_grad;
    for (at::Tensor* w : {&m, &log_s}) {
      w->add_(w->grad(), 0.1);  // ascent
      w->mutable_grad().zero_();
    }
  }
  const double evidence = -0.5 * (kLogTwoPi + std::log(2.0)) - 1.3 * 1.3 / 4;
  std::printf("m = %.4f, s^2 = %.4f, bound = %.4f, log evidence = %.4f\n", m.item<double>(),
              std::exp(2 * log_s.item<double>()), bound, evidence);
  std::printf("bound = log evidence to 1e-2: %s\n",
              std::abs(bound - evidence) < 1e-2 ? "yes" : "no");
}
