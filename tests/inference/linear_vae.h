// A linear-Gaussian VAE: probabilistic PCA, whose posterior, marginal likelihood and maximum of it
// are known in closed form (Tipping & Bishop 1999).
#pragma once

#include <ATen/ATen.h>

#include "elbo/optim/flat_parameters.h"
#include "estimators/toy.h"

namespace elbo::testing {

inline double number(const at::Tensor& t) { return t.item<double>(); }

/// x = W z + 0.5 e + 0.3: [rows, width].
inline at::Tensor linear_data(int64_t rows, int64_t width, int64_t latent) {
  const Noise noise(61);
  const auto loadings = noise.site("w").normal({width, latent}, at::kDouble);
  const auto z = noise.site("z").draws(rows).normal({rows, latent}, at::kDouble);
  const auto e = noise.site("e").draws(rows).normal({rows, width}, at::kDouble);
  return z.matmul(loadings.t()) + 0.5 * e + 0.3;
}

/// z ~ N(0, I), x ~ N(W z + b, sigma^2 I); q(z | x) = N(V x + c, diag s^2). Starts near 0.
struct LinearVae {
  LinearVae(int64_t width, int64_t latent) : width(width), latent(latent) {}

  int64_t width, latent;
  at::Tensor w = (0.1 * Noise(62).site("w").normal({width, latent}, at::kDouble)).requires_grad_();
  at::Tensor b = at::zeros({width}, at::kDouble).requires_grad_();
  at::Tensor log_sigma = at::zeros({1}, at::kDouble).requires_grad_();
  at::Tensor v = (0.1 * Noise(62).site("v").normal({latent, width}, at::kDouble)).requires_grad_();
  at::Tensor c = at::zeros({latent}, at::kDouble).requires_grad_();
  at::Tensor log_s = at::zeros({latent}, at::kDouble).requires_grad_();

  FlatParameters parameters() const {
    return FlatParameters({{"theta", {{"w", w}, {"b", b}, {"log_sigma", log_sigma}}},
                           {"phi", {{"v", v}, {"c", c}, {"log_s", log_s}}}});
  }
  Program model() const {
    return [*this](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      const auto z = trace.sample("z", Normal::standard({latent}, at::kDouble).to_event(1));
      const Normal x(z.matmul(w.t()) + b, log_sigma.exp(), Validate::kNo);
      trace.observe("x", x.to_event(1), rows["x"]);
    };
  }
  Program guide() const {
    return [*this](Trace& trace, const Batch& rows) {
      const auto plate = trace.plate("rows", rows.rows, rows.total);
      const auto m = at::addmm(c, rows["x"], v.t());
      (void)trace.sample("z", Normal(m, log_s.exp(), Validate::kNo).to_event(1));
    };
  }
  /// log p(x) of each row under N(b, W W' + sigma^2 I): [rows].
  at::Tensor log_evidence(const at::Tensor& x) const {
    const at::NoGradGuard no_grad;
    const auto covariance = w.matmul(w.t()) + (2 * log_sigma).exp() * at::eye(width, at::kDouble);
    const auto centred = x - b;
    const auto quadratic = (centred.matmul(covariance.inverse()) * centred).sum(-1);
    return -0.5 * (static_cast<double>(width) * std::log(2 * std::numbers::pi) +
                   at::logdet(covariance) + quadratic);
  }
  /// Its mean.
  double marginal(const at::Tensor& x) const { return number(log_evidence(x).mean()); }
  /// The bound per datum, its expectation taken by hand.
  double elbo(const at::Tensor& x) const {
    const at::NoGradGuard no_grad;
    const auto m = x.matmul(v.t()) + c;
    const auto s2 = (2 * log_s).exp();
    const auto squares =
        (x - m.matmul(w.t()) - b).square().sum(-1).mean() + (w.square() * s2).sum();
    const auto reconstruction = -0.5 * width * (std::log(2 * std::numbers::pi) + 2 * log_sigma) -
                                0.5 * squares / (2 * log_sigma).exp();
    const auto kl = 0.5 * (s2 + m.square().mean(0) - 1 - 2 * log_s).sum();
    return number(reconstruction - kl);
  }
};

/// Largest log-likelihood per datum of PPCA with so many latent dimensions.
inline double ppca_optimum(const at::Tensor& x, int64_t latent) {
  const int64_t width = x.size(1);
  const auto centred = x - x.mean(0);
  const auto covariance = centred.t().matmul(centred) / static_cast<double>(x.size(0));
  const auto eigenvalues = std::get<0>(at::linalg_eigh(covariance)).flip(0);
  const auto kept = eigenvalues.narrow(0, 0, latent).log().sum();
  const auto rest = eigenvalues.narrow(0, latent, width - latent).mean().log();
  return -0.5 *
         number(width * std::log(2 * std::numbers::pi) + kept + (width - latent) * rest + width);
}

}  // namespace elbo::testing
