#include "elbo/inference/hmc_sampler.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "elbo/error.h"
#include "elbo/inference/dual_averaging.h"
#include "elbo/inference/nuts.h"

namespace elbo {
namespace {

/// Running means and sums of squared deviations (Welford 1962), of each row and dimension, or of
/// their products.
class Spread {
 public:
  explicit Spread(bool dense) : dense_(dense) {}
  void add(const at::Tensor& x) {
    if (count_++ == 0) {
      mean_ = at::zeros_like(x);
      squares_ =
          dense_ ? at::zeros({x.size(0), x.size(1), x.size(1)}, x.options()) : at::zeros_like(x);
    }
    const auto from_old = x - mean_;
    mean_ = mean_ + from_old / static_cast<double>(count_);
    const auto from_new = x - mean_;
    squares_ =
        squares_ + (dense_ ? from_old.unsqueeze(-1) * from_new.unsqueeze(-2) : from_old * from_new);
  }
  /// Drawn towards 1e-3 as if by five more draws, as Stan does.
  [[nodiscard]] at::Tensor regularised() const {
    const auto n = static_cast<double>(count_);
    const auto drawn = squares_ / (n - 1) * (n / (n + 5));
    const double towards = 1e-3 * (5 / (n + 5));
    return dense_ ? drawn + towards * at::eye(drawn.size(-1), drawn.options()) : drawn + towards;
  }

 private:
  bool dense_;
  int64_t count_ = 0;
  at::Tensor mean_, squares_;
};

/// After which transitions a window for the mass ends, and before which the first begins.
struct Windows {
  int64_t begin = 0;
  std::vector<int64_t> ends{};
};
Windows windows_of(int64_t transitions) {
  constexpr int64_t kFirst = 75, kWindow = 25, kLast = 50, kFewest = 20;
  if (transitions < kFewest) return {};
  const bool is_short = transitions < kFirst + kWindow + kLast;
  Windows out{.begin = is_short ? transitions * 15 / 100 : kFirst};
  const int64_t end = transitions - (is_short ? transitions * 3 / 10 : kLast);
  int64_t at = out.begin, size = is_short ? end - at : kWindow;
  while (at < end) {
    at = at + 3 * size > end ? end : at + size;  // the next, twice as long, would not fit
    out.ends.push_back(at);
    size *= 2;
  }
  return out;
}

}  // namespace

void HmcOptions::validate() const {
  if (leapfrog_steps < 1)
    throw ConfigError(fmt::format("Hmc: leapfrog_steps = {}; expected >= 1", leapfrog_steps));
  if (max_depth < 1)
    throw ConfigError(fmt::format("Hmc: max_depth = {}; expected >= 1", max_depth));
  if (!(target_acceptance > 0 && target_acceptance < 1))
    throw ConfigError(
        fmt::format("Hmc: target_acceptance = {}; expected in (0, 1)", target_acceptance));
  if (!(step_size >= 0))
    throw ConfigError(fmt::format("Hmc: step_size = {}; expected > 0, or 0 to find it", step_size));
  if (!(step_jitter >= 0 && step_jitter < 1))
    throw ConfigError(fmt::format("Hmc: step_jitter = {}; expected in [0, 1)", step_jitter));
  if (!(divergence_energy > 0))
    throw ConfigError(fmt::format("Hmc: divergence_energy = {}; expected > 0", divergence_energy));
}

HmcSampler::HmcSampler(LogDensity log_density, const at::Tensor& start, Noise noise,
                       HmcOptions options)
    : log_density_(std::move(log_density)), options_(options), noise_(std::move(noise)) {
  options_.validate();
  state_ = hmc_start(log_density_, start);
  inverse_mass_ = at::ones_like(state_.position);
  if (options_.mass == HmcMass::kDense) inverse_mass_ = at::diag_embed(inverse_mass_);
  step_size_ = options_.step_size > 0 ? at::full_like(state_.log_density, options_.step_size)
                                      : found_step_size();
}

void HmcSampler::retarget(LogDensity log_density) {
  log_density_ = std::move(log_density);
  state_ = hmc_start(log_density_, state_.position);
}

Noise HmcSampler::next_noise() { return noise_.site(std::to_string(transitions_++)); }

at::Tensor HmcSampler::found_step_size() {
  const auto from = step_size_.defined() ? step_size_ : at::ones_like(state_.log_density);
  return reasonable_step_size(log_density_, state_, from, inverse_mass_, next_noise());
}

HmcOutcome HmcSampler::transition(const at::Tensor& step_size) {
  const Noise noise = next_noise();
  HmcStep step{step_size, inverse_mass_, options_.leapfrog_steps};
  if (options_.step_jitter > 0) {
    const auto sides = 2 * noise.site("jitter").uniform(step_size.sizes(), step_size.options()) - 1;
    step.step_size = step_size * (1 + options_.step_jitter * sides);
  }
  if (options_.nuts) return nuts_transition(log_density_, state_, step, noise, options_.max_depth);
  return hmc_transition(log_density_, state_, step, noise);
}

void HmcSampler::warm_up(int64_t transitions) {
  if (transitions < 1) return;
  const Windows windows = windows_of(options_.mass == HmcMass::kIdentity ? 0 : transitions);
  auto end = windows.ends.begin();
  DualAveraging adaptation(step_size_, options_.target_acceptance);
  const Spread none(options_.mass == HmcMass::kDense);
  Spread spread = none;
  for (int64_t t = 1; t <= transitions; ++t) {
    adaptation.update(transition(adaptation.step_size()).acceptance);
    if (end == windows.ends.end() || t <= windows.begin) continue;
    spread.add(state_.position);
    if (t < *end) continue;
    inverse_mass_ = spread.regularised();
    step_size_ = adaptation.averaged();
    step_size_ = found_step_size();
    adaptation = DualAveraging(step_size_, options_.target_acceptance);
    spread = none;
    ++end;
  }
  step_size_ = adaptation.averaged();
}

HmcOutcome HmcSampler::step() { return transition(step_size_); }

HmcRun HmcSampler::run(int64_t draws) {
  if (draws < 1) throw ConfigError(fmt::format("HmcSampler: draws = {}; expected >= 1", draws));
  auto sizes = state_.position.sizes().vec();
  sizes.insert(sizes.begin(), draws);
  HmcRun out;
  out.position = at::empty(sizes, state_.position.options());
  out.log_density = at::empty({draws, sizes[1]}, state_.log_density.options());
  out.acceptance = at::zeros_like(state_.log_density);
  out.divergences = at::zeros({sizes[1]}, state_.log_density.options().dtype(at::kLong));
  for (int64_t s = 0; s < draws; ++s) {
    const auto outcome = step();
    out.position[s].copy_(state_.position);
    out.log_density[s].copy_(state_.log_density);
    out.acceptance += outcome.acceptance / static_cast<double>(draws);
    out.divergences += outcome.energy_error > options_.divergence_energy;
  }
  return out;
}

}  // namespace elbo
