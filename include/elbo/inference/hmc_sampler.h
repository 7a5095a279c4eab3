// Chains of Hamiltonian Monte Carlo that tune themselves.
#pragma once

#include <ATen/core/Tensor.h>

#include "elbo/inference/hmc.h"

namespace elbo {

/// What warm-up adapts to the draws, of each row; kIdentity: nothing.
enum class HmcMass {
  kIdentity,
  kDiagonal,  ///< the inverse variances
  kDense,     ///< the inverse covariance: D^2 numbers a row, and a step that knows correlations
};

struct HmcOptions {
  int64_t leapfrog_steps = 10;  ///< L, >= 1 (AEVB 5: 10)
  /// Paths choose their own length (inference/nuts.h), of at most 2^max_depth points: for laws
  /// whose scales are not known. `target_acceptance` is best near 0.8 then.
  bool nuts = false;
  int64_t max_depth = 10;
  double target_acceptance = 0.9;  ///< in (0, 1) (AEVB 5: 0.9)
  double step_size = 0;            ///< of every row to begin with; 0: `reasonable_step_size`
  /// Each transition's step sizes are those adapted times a number uniform on 1 +- step_jitter, in
  /// [0, 1): a path of fixed length may come back to where it began (Neal 2011, 3.2).
  double step_jitter = 0.1;
  HmcMass mass = HmcMass::kDiagonal;
  double divergence_energy = 1000;  ///< energy error in nats beyond which a path has diverged

  void validate() const;
};

/// What `HmcSampler::run` drew, and how it went.
struct HmcRun {
  at::Tensor position;     ///< [S, R, D]
  at::Tensor log_density;  ///< [S, R], in nats
  at::Tensor acceptance;   ///< [R]: mean probability
  at::Tensor divergences;  ///< [R] int64: how many transitions
};

/// R chains side by side, each with its own step size and mass.
///
/// **RNG** transition t draws from `noise.site(t)`; see `hmc_transition` for the rows it must know.
class HmcSampler {
 public:
  /// **Throws** NumericError where the density is not finite at `start` [R, D].
  HmcSampler(LogDensity log_density, const at::Tensor& start, Noise noise, HmcOptions options = {});

  /// Transitions whose draws do not count, which adapt the step sizes by dual averaging and, from
  /// 20 on, the mass: at first the step alone, then over windows that double, each starting the
  /// step anew, then the step alone again (Stan reference manual, "HMC algorithm parameters").
  void warm_up(int64_t transitions);
  /// One transition with everything fixed.
  HmcOutcome step();
  /// `draws` of them.
  HmcRun run(int64_t draws);

  /// Goes on with another density over the same points, which may still be the old one with other
  /// weights; step sizes and mass stay.
  void retarget(LogDensity log_density);

  [[nodiscard]] const HmcState& state() const { return state_; }
  [[nodiscard]] const at::Tensor& step_size() const { return step_size_; }  ///< [R]
  /// [R, D], or [R, D, D] for kDense.
  [[nodiscard]] const at::Tensor& inverse_mass() const { return inverse_mass_; }

 private:
  HmcOutcome transition(const at::Tensor& step_size);
  [[nodiscard]] at::Tensor found_step_size();
  [[nodiscard]] Noise next_noise();

  LogDensity log_density_;
  HmcOptions options_;
  Noise noise_;
  int64_t transitions_ = 0;
  HmcState state_;
  at::Tensor step_size_, inverse_mass_;
};

}  // namespace elbo
