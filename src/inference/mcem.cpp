#include "elbo/inference/mcem.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>

#include "elbo/inference/dual_averaging.h"
#include "elbo/inference/hmc.h"
#include "elbo/program/handlers.h"
#include "inference/detail/ascent.h"

namespace elbo {
namespace {

constexpr double kGain = 0.5, kDivergence = 1000;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// The sums over sites of log p at a draw, [1, M] each: of all, and of what was observed before the
/// latents were given.
struct Joint {
  at::Tensor all, observed;
};
Joint joint_of(const Program& model, const std::map<std::string, at::Tensor>& latents,
               const Batch& batch) {
  const Trace trace = Trace::run(condition(model, latents), batch, Noise(0));
  Joint out;
  const auto add = [](at::Tensor& sum, const at::Tensor& term) {
    sum = sum.defined() ? sum + term : term;
  };
  for (const Site& site : trace.sites()) {
    const auto term = site.log_prob();
    add(out.all, term);
    if (!latents.contains(site.name)) add(out.observed, term.detach());
  }
  if (!out.observed.defined()) out.observed = at::zeros_like(out.all);
  return out;
}

}  // namespace

void McemOptions::validate() const {
  const auto at_least = [](const char* name, int64_t value, int64_t least) {
    if (value < least)
      throw ConfigError(fmt::format("Mcem: {} = {}; expected >= {}", name, value, least));
  };
  at_least("leapfrog_steps", leapfrog_steps, 1);
  at_least("weight_updates", weight_updates, 1);
  at_least("transitions", transitions, 1);
  at_least("burn_in", burn_in, 0);
  if (start == ChainStart::kPersistent) {
    at_least("rows", rows, 1);
    at_least("latent_dim", latent_dim, 1);
  }
  if (!(target_acceptance > 0 && target_acceptance < 1))
    throw ConfigError(
        fmt::format("Mcem: target_acceptance = {}; expected in (0, 1)", target_acceptance));
  detail::check_weight_prior(weight_prior);
}

Mcem::Mcem(Program model, FlatParameters parameters, std::unique_ptr<Optimizer> optimizer,
           McemOptions options, Program guide)
    : model_(std::move(model)),
      guide_(std::move(guide)),
      parameters_(std::move(parameters)),
      optimizer_(std::move(optimizer)),
      options_(options),
      log_step_(at::full({1}, kUnknown, at::kDouble)) {
  options_.validate();
  if (options_.start == ChainStart::kPersistent)
    positions_ =
        at::full({options_.rows, options_.latent_dim}, kUnknown, parameters_.values().options());
  if (options_.start == ChainStart::kGuide && !guide_)
    throw ConfigError("Mcem: chains start in the guide; expected one");
}

double Mcem::step_size() const { return std::exp(log_step_.item<double>()); }

at::Tensor Mcem::starts(const LatentDensity& density, const Batch& batch, const Noise& noise,
                        bool* anew) {
  *anew = true;
  if (options_.start == ChainStart::kGuide)
    return density.unconstrained(Trace::run(guide_, batch, noise, {.requires_grad = false}));
  auto prior = density.prior_draw(noise);
  if (options_.start == ChainStart::kPrior) return prior;
  if (density.dim() != options_.latent_dim || batch.rows.max().item<int64_t>() >= options_.rows)
    throw ConfigError(fmt::format(
        "Mcem: persistent chains of rows = {} and latent_dim = {}; got row {} with {}",
        options_.rows, options_.latent_dim, batch.rows.max().item<int64_t>(), density.dim()));
  const auto left = positions_.index_select(0, batch.rows);
  const auto visited = left.isfinite().all(1, /*keepdim=*/true);
  *anew = !visited.all().item<bool>();
  return at::where(visited, left, prior);
}

at::Tensor Mcem::draw(const LatentDensity& density, const Batch& batch, const Noise& noise) {
  bool anew = true;
  auto state = hmc_start(density, starts(density, batch, noise.site("start"), &anew));
  const auto options = state.log_density.options();
  if (std::isnan(log_step_.item<double>())) {
    const auto each = reasonable_step_size(density, state, at::ones_like(state.log_density), {},
                                           density.keyed(noise.site("step size")));
    log_step_.copy_((0.5 * each.median()).log());  // it may be the first that was too large
  }
  const int64_t transitions = options_.transitions + (anew ? options_.burn_in : 0);
  chains_ = {.gradient_evaluations = 1 + transitions * options_.leapfrog_steps};
  for (int64_t t = 0; t < transitions; ++t) {
    const auto outcome = hmc_transition(density, state,
                                        {.step_size = log_step_.exp().to(options),
                                         .inverse_mass = {},
                                         .leapfrog_steps = options_.leapfrog_steps},
                                        density.keyed(noise.site(std::to_string(t))));
    const double acceptance = outcome.acceptance.mean().item<double>();
    chains_.acceptance += acceptance / static_cast<double>(transitions);
    chains_.divergences += (outcome.energy_error > kDivergence).sum().item<int64_t>();
    log_step_ += kGain * (acceptance - options_.target_acceptance);
  }
  return state.position;
}

StepResult Mcem::step(const Batch& batch, const Noise& noise) {
  const LatentDensity density(model_, batch);
  if (!density.is_by_datum())
    throw SiteError(
        "Mcem: the model has sites outside of the plate; expected latents of each datum");
  const auto u = draw(density, batch, noise);
  const auto latents = density.values(u);
  const detail::Objective objective{.total = batch.total,
                                    .weight_prior = options_.weight_prior,
                                    .full_data = options_.full_data_objective};
  StepResult result;
  for (int64_t update = 0; update < options_.weight_updates; ++update) {
    const Joint joint = joint_of(model_, latents, batch);
    const double mean = detail::finite_mean(joint.all, "joint log p(x, z)");
    parameters_.backward({joint.all}, {detail::mean_seed(joint.all)});
    const double log_prior =
        detail::ascend(*optimizer_, parameters_, parameters_.segment("theta"), objective);
    if (update > 0) continue;
    result = {.elbo = mean,
              .reconstruction = detail::finite_mean(joint.observed, "reconstruction log p(x|z)"),
              .log_prior = log_prior};
  }
  result.gradient_evaluations = chains_.gradient_evaluations + options_.weight_updates;
  if (options_.start == ChainStart::kPersistent) positions_.index_copy_(0, batch.rows, u);
  return result;
}

std::map<std::string, at::Tensor> Mcem::state() const {
  auto out = detail::state_of(parameters_, *optimizer_);
  out["chains.log_step"] = log_step_;
  if (positions_.defined()) out["chains.positions"] = positions_;
  return out;
}

}  // namespace elbo
