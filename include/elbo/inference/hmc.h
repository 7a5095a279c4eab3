// Hamiltonian Monte Carlo (Neal 2011): one transition of many independent chains side by side.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "elbo/kernels/noise.h"

namespace elbo {

/// The logarithm of a density, up to a constant, at a point of each row; row r must depend on u[r]
/// alone. Differentiable operations of u; never called with a u that is not finite.
/// **Shapes** u [R, D]; gives [R]. **Units** nats.
using LogDensity = std::function<at::Tensor(const at::Tensor& u)>;

/// A point of each row, with what one evaluation of the density gave there.
struct HmcState {
  at::Tensor position;     ///< [R, D]
  at::Tensor log_density;  ///< [R], in nats
  at::Tensor gradient;     ///< [R, D], of log_density along position
};

/// The density and its gradient at `position`, by one backward pass for all rows.
/// **Throws** ShapeError where `position` is not [R, D] or the density's result not [R].
[[nodiscard]] HmcState hmc_evaluate(const LogDensity& log_density, const at::Tensor& position);

/// Where a chain may begin: `hmc_evaluate`.
/// **Throws** NumericError, naming the first such row, where density or gradient is not finite.
[[nodiscard]] HmcState hmc_start(const LogDensity& log_density, const at::Tensor& position);

/// How one transition moves.
struct HmcStep {
  at::Tensor step_size;  ///< [R] or one number, > 0: epsilon
  /// M^-1: a diagonal [R, D] or [D], whole matrices [R, D, D], or undefined for the identity.
  at::Tensor inverse_mass;
  int64_t leapfrog_steps = 10;
};

/// M^-1 p. **Shapes** momentum p [R, D], inverse_mass as in HmcStep; gives [R, D].
[[nodiscard]] at::Tensor velocity(const at::Tensor& momentum, const at::Tensor& inverse_mass);
/// A draw from N(0, M), made of one from N(0, I). **Shapes** standard [R, D]; gives the same.
[[nodiscard]] at::Tensor momentum_of(const at::Tensor& standard, const at::Tensor& inverse_mass);
/// p^T M^-1 p / 2. **Shapes** momentum [R, D]; gives [R].
[[nodiscard]] at::Tensor kinetic_energy(const at::Tensor& momentum, const at::Tensor& inverse_mass);

/// Hamilton's equations by `leapfrog_steps` steps of the leapfrog (Neal 2011, eq 2.28 to 2.30):
/// half a step of the momentum, whole steps of position and momentum in turn, half a step of the
/// momentum. Reversible, and of Jacobian determinant 1. One evaluation of the density a step: the
/// gradient at `state` is used again.
///
/// A row whose position, density or gradient stops being finite stays where it is, with the
/// log density -inf; the others do not notice.
void leapfrog(const LogDensity& log_density, HmcState& state, at::Tensor& momentum,
              const HmcStep& step);

/// What a transition did to each row.
struct HmcOutcome {
  at::Tensor acceptance;    ///< [R] min(1, e^-energy_error), 0 where the path was not finite
  at::Tensor accepted;      ///< [R] bool
  at::Tensor energy_error;  ///< [R] H(end) - H(start) in nats; +inf where the path was not finite
};

/// Moves each row by one transition that leaves its density invariant: a momentum from
/// N(0, mass), the leapfrog, and acceptance with probability min(1, e^(H(start) - H(end))).
///
/// `state` must hold the values of this same density (after another was used, `hmc_evaluate`).
/// Evaluates the density `leapfrog_steps` times.
/// **RNG** the sites "momentum" and "accept" of `noise`, which should know the rows: `noise.rows`,
/// or `noise.draws(R)`, and `noise.particles(C)` where R is C chains of them. It must differ from
/// one transition to the next: `noise.site(std::to_string(t))`.
/// **Throws** ShapeError where step size or mass do not fit; ConfigError for leapfrog_steps < 1.
HmcOutcome hmc_transition(const LogDensity& log_density, HmcState& state, const HmcStep& step,
                          const Noise& noise);

}  // namespace elbo
