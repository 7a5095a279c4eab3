// Expected: posterior mean within 0.01 of 0.65: yes
// A user's own model and guide, two functions, learn by the same path as the ready VAE.
#include <cmath>
#include <cstdio>

#include "elbo/elbo.h"

int main() {
  // z ~ N(0, 1), x ~ N(z, 1): the posterior of z given x = 1.3 is N(0.65, 1/2).
  const auto options = at::TensorOptions().dtype(at::kDouble);
  auto mu = at::zeros({1}, options).requires_grad_();
  auto log_var = at::zeros({1}, options).requires_grad_();

  const elbo::Program model = [&](elbo::Trace& t, const elbo::Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    const auto z = t.sample("z", elbo::Normal::standard({1}, b.options()).to_event(1));
    t.observe("x", elbo::Normal(z, at::ones_like(z)).to_event(1), b["x"]);
  };
  const elbo::Program guide = [&](elbo::Trace& t, const elbo::Batch& b) {
    const auto data = t.plate("data", b.rows, b.total);
    t.sample("z", elbo::Normal::from_log_var(mu, log_var).to_event(1));
  };

  elbo::FlatParameters parameters({{"phi", {{"mu", mu}, {"log_var", log_var}}}});
  auto adam = elbo::make_optimizer("adam", parameters, 0.01);
  elbo::Aevb learner(model, guide, parameters, std::move(adam));
  const elbo::Batch batch{
      .columns = {{"x", at::full({500, 1}, 1.3, options)}}, .rows = at::arange(500), .total = 500};
  for (int step = 0; step < 1500; ++step) {
    learner.optimizer().lr = 0.01 * (1 - step / 1500.0);
    learner.step(batch, elbo::Noise(/*seed=*/0, step));
  }
  std::printf("q(z) = N(%.4f, %.4f)\n", mu.item<double>(), std::exp(log_var.item<double>()));
  const bool close = std::abs(mu.item<double>() - 0.65) < 0.01;
  std::printf("posterior mean within 0.01 of 0.65: %s\n", close ? "yes" : "no");
}
