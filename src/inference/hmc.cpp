#include "elbo/inference/hmc.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

#include "elbo/error.h"

namespace elbo {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The rows of a path whose every number has been finite so far.
class Alive {
 public:
  /// Looks at x, [R, D] or [R]. One sum tells that all is well; where it is not finite, or only too
  /// large, each row is looked at.
  void require_finite(const at::Tensor& x) {
    if (!rows_.defined() && std::isfinite(x.sum().item<double>())) return;
    const auto finite = x.isfinite().view({x.size(0), -1}).all(-1, /*keepdim=*/true);
    rows_ = rows_.defined() ? rows_.logical_and(finite) : finite;
  }
  /// `moved` in rows alive, else `stays`.
  [[nodiscard]] at::Tensor choose(const at::Tensor& moved, const at::Tensor& stays) const {
    return rows_.defined() ? at::where(rows_, moved, stays) : moved;
  }
  /// [R] of `x`, -inf in rows not alive.
  [[nodiscard]] at::Tensor or_impossible(const at::Tensor& x) const {
    return rows_.defined() ? x.masked_fill(rows_.squeeze(-1).logical_not(), -kInfinity) : x;
  }

 private:
  at::Tensor rows_;  // [R, 1] bool; undefined while all are
};

/// Whether it has matrices, not a diagonal.
bool is_dense(const at::Tensor& inverse_mass) {
  return inverse_mass.defined() && inverse_mass.dim() == 3;
}

void check(const HmcState& state, const HmcStep& step) {
  const int64_t rows = state.position.size(0), dim = state.position.size(1);
  if (step.leapfrog_steps < 1)
    throw ConfigError(fmt::format("hmc: leapfrog_steps = {}; expected >= 1", step.leapfrog_steps));
  const auto& size = step.step_size;
  if (!size.defined() || (size.numel() != 1 && size.sizes() != at::IntArrayRef({rows})))
    throw ShapeError(fmt::format(
        "hmc: step_size has shape [{}]; expected [{}] or one number",
        size.defined() ? fmt::join(size.sizes(), ", ") : fmt::join(at::IntArrayRef(), ", "), rows));
  const auto& mass = step.inverse_mass;
  if (mass.defined() && mass.sizes() != at::IntArrayRef({dim}) &&
      mass.sizes() != at::IntArrayRef({rows, dim}) &&
      mass.sizes() != at::IntArrayRef({rows, dim, dim}))
    throw ShapeError(
        fmt::format("hmc: inverse_mass has shape [{}]; expected [{}], [{}, {}] or [{}, {}, {}]",
                    fmt::join(mass.sizes(), ", "), dim, rows, dim, rows, dim, dim));
}

}  // namespace

HmcState hmc_evaluate(const LogDensity& log_density, const at::Tensor& position) {
  if (position.dim() != 2)
    throw ShapeError(fmt::format("hmc: position has shape [{}]; expected [rows, dimensions]",
                                 fmt::join(position.sizes(), ", ")));
  const at::AutoGradMode with_grad(true);
  const auto u = position.detach().requires_grad_();
  const auto value = log_density(u);
  if (value.sizes() != at::IntArrayRef({u.size(0)}))
    throw ShapeError(fmt::format("hmc: the log density of {} rows has shape [{}]; expected [{}]",
                                 u.size(0), fmt::join(value.sizes(), ", "), u.size(0)));
  // A density that is flat everywhere has no graph.
  at::Tensor gradient;
  if (value.requires_grad())
    gradient = torch::autograd::grad({value}, {u}, {at::ones_like(value)},
                                     /*retain_graph=*/c10::nullopt, /*create_graph=*/false,
                                     /*allow_unused=*/true)[0];
  if (!gradient.defined()) gradient = at::zeros_like(position);
  return {position.detach(), value.detach(), gradient};
}

HmcState hmc_start(const LogDensity& log_density, const at::Tensor& position) {
  auto state = hmc_evaluate(log_density, position);
  const auto bad = state.log_density.isfinite()
                       .logical_and(state.gradient.isfinite().all(-1))
                       .logical_not()
                       .nonzero();
  if (bad.numel() > 0) {
    const auto row = bad[0].item<int64_t>();
    throw NumericError(fmt::format(
        "hmc: row {} starts at a log density of {}, and its gradient's sum is {}; "
        "expected finite numbers",
        row, state.log_density[row].item<double>(), state.gradient[row].sum().item<double>()));
  }
  return state;
}

at::Tensor velocity(const at::Tensor& momentum, const at::Tensor& inverse_mass) {
  if (!inverse_mass.defined()) return momentum;
  if (is_dense(inverse_mass)) return inverse_mass.matmul(momentum.unsqueeze(-1)).squeeze(-1);
  return momentum * inverse_mass;
}

at::Tensor momentum_of(const at::Tensor& standard, const at::Tensor& inverse_mass) {
  if (!inverse_mass.defined()) return standard;
  if (!is_dense(inverse_mass)) return standard * inverse_mass.rsqrt();
  // M^-1 = L L^T, so that L^-T e has the covariance M.
  const auto upper = at::linalg_cholesky(inverse_mass).transpose(-2, -1);
  return at::linalg_solve_triangular(upper, standard.unsqueeze(-1), /*upper=*/true).squeeze(-1);
}

at::Tensor kinetic_energy(const at::Tensor& momentum, const at::Tensor& inverse_mass) {
  return 0.5 * (momentum * velocity(momentum, inverse_mass)).sum(-1);
}

void leapfrog(const LogDensity& log_density, HmcState& state, at::Tensor& momentum,
              const HmcStep& step) {
  check(state, step);
  const at::NoGradGuard no_grad;
  const auto epsilon = step.step_size.to(state.position.options()).reshape({-1, 1});
  const bool dense = is_dense(step.inverse_mass);
  const auto drift = step.inverse_mass.defined() && !dense ? epsilon * step.inverse_mass : epsilon;
  Alive alive;
  alive.require_finite(state.gradient);
  auto p = at::addcmul(momentum, epsilon, state.gradient, 0.5);
  for (int64_t l = 0; l < step.leapfrog_steps; ++l) {
    const auto next =
        at::addcmul(state.position, drift, dense ? velocity(p, step.inverse_mass) : p);
    alive.require_finite(next);
    state = hmc_evaluate(log_density, alive.choose(next, state.position));
    alive.require_finite(state.gradient);
    alive.require_finite(state.log_density);
    const bool last = l + 1 == step.leapfrog_steps;
    p = alive.choose(at::addcmul(p, epsilon, state.gradient, last ? 0.5 : 1), p);
  }
  momentum = p;
  state.log_density = alive.or_impossible(state.log_density);
}

HmcOutcome hmc_transition(const LogDensity& log_density, HmcState& state, const HmcStep& step,
                          const Noise& noise) {
  check(state, step);
  const at::NoGradGuard no_grad;
  const auto options = state.position.options();
  auto momentum = momentum_of(noise.site("momentum").normal(state.position.sizes(), options),
                              step.inverse_mass);
  const auto before = state.log_density - kinetic_energy(momentum, step.inverse_mass);
  HmcState end = state;
  leapfrog(log_density, end, momentum, step);
  HmcOutcome out;
  const auto error = before - end.log_density + kinetic_energy(momentum, step.inverse_mass);
  out.energy_error = error.masked_fill(error.isfinite().logical_not(), kInfinity);
  out.acceptance = (-out.energy_error).clamp_max(0).exp();
  out.accepted = noise.site("accept").uniform(out.acceptance.sizes(), options) < out.acceptance;
  const auto moved = out.accepted.unsqueeze(-1);
  state.position = at::where(moved, end.position, state.position);
  state.log_density = at::where(out.accepted, end.log_density, state.log_density);
  state.gradient = at::where(moved, end.gradient, state.gradient);
  return out;
}

}  // namespace elbo
