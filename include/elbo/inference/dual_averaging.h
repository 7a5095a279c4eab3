// Step sizes that adapt themselves (Hoffman & Gelman 2014, section 3.2).
#pragma once

#include <ATen/core/Tensor.h>

#include "elbo/inference/hmc.h"

namespace elbo {

/// Nesterov's dual averaging of log step sizes, one for each row, until the mean acceptance of each
/// is the target.
///
/// **Equation** With H_t the mean of (target - acceptance), weighted towards the recent,
/// log eps_(t+1) = mu - sqrt(t) / gamma H_t (eq 6); the average weighs step t by t^-kappa; t0 = 10
/// and kappa = 0.75, as there. But gamma = 0.2 and mu = log eps_1 where the paper has 0.05 and
/// log(10 eps_1): the steps then swing less, and since acceptance falls faster above the target
/// than it rises below it, swings end in steps that are too small. On Gaussians of 3 and 10
/// dimensions 200 transitions at a target of 0.9 leave an acceptance of 0.91 and not 0.94.
class DualAveraging {
 public:
  /// From `step_size` [R], > 0. **Ranges** 0 < target < 1; ConfigError otherwise.
  DualAveraging(const at::Tensor& step_size, double target);

  /// After a transition at `step_size()`: `acceptance` [R] in [0, 1].
  void update(const at::Tensor& acceptance);
  /// [R], the one to try next.
  [[nodiscard]] const at::Tensor& step_size() const { return step_size_; }
  /// [R], the one to keep once adaptation ends.
  [[nodiscard]] at::Tensor averaged() const;

 private:
  double target_;
  double count_ = 0;
  at::Tensor step_size_, mu_, error_, log_average_;
};

/// A step size for each row with which one leapfrog step is accepted with a probability about 1/2
/// (Hoffman & Gelman 2014, algorithm 4): `step_size` [R] doubled or halved until it crosses that.
/// Evaluates the density once each time, at most 50 times. **RNG** the site "momentum".
[[nodiscard]] at::Tensor reasonable_step_size(const LogDensity& log_density, const HmcState& state,
                                              at::Tensor step_size, const at::Tensor& inverse_mass,
                                              const Noise& noise);

}  // namespace elbo
