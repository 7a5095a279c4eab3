// Step sizes that adapt themselves (Hoffman & Gelman 2014, section 3.2).
#pragma once

#include <ATen/core/Tensor.h>

#include "elbo/inference/hmc.h"

namespace elbo {

/// Nesterov's dual averaging of log step sizes, one for each row, until the mean acceptance of each
/// is the target.
///
/// **Equation** With H_t the mean of (target - acceptance), weighted towards the recent,
/// log eps_(t+1) = mu - sqrt(t) / gamma H_t, mu = log(10 eps_1) (eq 6); the average weighs step t
/// by t^-kappa. gamma = 0.05, t0 = 10, kappa = 0.75, as there.
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
