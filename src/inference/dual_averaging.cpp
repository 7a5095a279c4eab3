#include "elbo/inference/dual_averaging.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "elbo/error.h"

namespace elbo {
namespace {
constexpr double kGamma = 0.2, kDelay = 10, kKappa = 0.75;
}

DualAveraging::DualAveraging(const at::Tensor& step_size, double target)
    : target_(target),
      step_size_(step_size.clone()),
      mu_(step_size.log()),
      error_(at::zeros_like(step_size)),
      log_average_(at::zeros_like(step_size)) {
  if (!(target > 0 && target < 1))
    throw ConfigError(fmt::format("DualAveraging: target = {}; expected in (0, 1)", target));
}

void DualAveraging::update(const at::Tensor& acceptance) {
  const at::NoGradGuard no_grad;
  ++count_;
  const double recent = 1 / (count_ + kDelay);
  error_ = (1 - recent) * error_ + recent * (target_ - acceptance);
  const auto log_step = mu_ - std::sqrt(count_) / kGamma * error_;
  const double weight = std::pow(count_, -kKappa);
  log_average_ = weight * log_step + (1 - weight) * log_average_;
  step_size_ = log_step.exp();
}

at::Tensor DualAveraging::averaged() const { return count_ == 0 ? step_size_ : log_average_.exp(); }

at::Tensor reasonable_step_size(const LogDensity& log_density, const HmcState& state,
                                at::Tensor step_size, const at::Tensor& inverse_mass,
                                const Noise& noise) {
  const at::NoGradGuard no_grad;
  const auto momentum =
      momentum_of(noise.site("momentum").normal(state.position.sizes(), state.position.options()),
                  inverse_mass);
  const auto before = state.log_density - kinetic_energy(momentum, inverse_mass);
  at::Tensor grows, going;
  for (int attempt = 0; attempt < 50; ++attempt) {
    HmcState end = state;
    auto p = momentum;
    leapfrog(log_density, end, p,
             {.step_size = step_size, .inverse_mass = inverse_mass, .leapfrog_steps = 1});
    const auto gain = end.log_density - kinetic_energy(p, inverse_mass) - before;
    const auto accepts = gain > -std::log(2.0);  // false for NaN
    if (attempt == 0) {
      grows = accepts;
      going = at::ones_like(accepts);
    }
    going = going.logical_and(accepts == grows);
    if (!going.any().item<bool>()) break;
    step_size = at::where(going, at::where(grows, 2 * step_size, 0.5 * step_size), step_size);
  }
  return step_size;
}

}  // namespace elbo
