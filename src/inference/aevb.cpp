#include "elbo/inference/aevb.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "elbo/kernels/linear.h"
#include "inference/detail/ascent.h"

namespace elbo {
Aevb::Aevb(Program model, Program guide, FlatParameters parameters,
           std::unique_ptr<Optimizer> optimizer, AevbOptions options)
    : model_(std::move(model)),
      guide_(std::move(guide)),
      parameters_(std::move(parameters)),
      optimizer_(std::move(optimizer)),
      options_(std::move(options)),
      first_(parameters_.gradients()),
      second_(parameters_.gradients()) {
  if (options_.bfloat16_products) (void)Bfloat16Products();  // now rather than at the first step
  detail::check_weight_prior(options_.weight_prior);
  for (const auto& name : options_.weight_prior_on) (void)parameters_.segment(name);
}

const at::Tensor& Aevb::Seed::of(const at::Tensor& terms, double value) {
  const bool same = tensor.defined() && each == value && tensor.sizes() == terms.sizes() &&
                    tensor.scalar_type() == terms.scalar_type() &&
                    tensor.device() == terms.device();
  if (!same) tensor = at::full(terms.sizes(), value, terms.options().requires_grad(false));
  each = value;
  return tensor;
}

std::vector<at::Tensor> Aevb::differentiate(const Batch& batch, const Noise& noise) {
  std::optional<Bfloat16Products> rounding;
  if (options_.bfloat16_products) rounding.emplace(parameters_.values(), parameters_.rounded());
  const Bound bound = options_.estimator(model_, guide_, batch, noise);
  std::vector<at::Tensor> roots, seeds;
  // Of `weight` times the mean of the terms.
  const auto ascend = [&](const at::Tensor& terms, double weight, Seed& seed, bool of_rows = true) {
    if (!terms.requires_grad()) return;
    roots.push_back(terms);
    const auto& each = seed.of(terms, weight / static_cast<double>(terms.numel()));
    seeds.push_back(of_rows && bound.weights.defined() ? each * bound.weights : each);
  };
  if (bound.combined.defined()) {
    ascend(bound.combined, 1, combined_seed_);
  } else {  // without the node of a difference
    ascend(bound.reconstruction, 1, reconstruction_seed_);
    ascend(bound.kl, -1, kl_seed_);
  }
  if (bound.global.defined())
    ascend(bound.global, 1 / static_cast<double>(bound.total), global_seed_, /*of_rows=*/false);
  if (bound.supervision.defined()) ascend(bound.supervision, 1, supervision_seed_);
  parameters_.backward(roots, seeds);
  std::vector<at::Tensor> terms = {bound.reconstruction, bound.kl, bound.combined, bound.global,
                                   bound.supervision};
  for (auto& term : terms)
    if (term.defined()) term = term.detach();
  return terms;
}

StepResult Aevb::gradient(const Batch& batch, const Noise& noise, PlannedStep& planned) {
  const auto body = [this](const Batch& b, const Noise& n) { return differentiate(b, n); };
  if (options_.bfloat16_products) (void)parameters_.rounded();  // what a plan reads
  // A check runs the body twice in a step, which an estimator's state would show.
  const bool may_plan = options_.planned && options_.estimator_state.empty();
  const auto terms = may_plan ? planned(batch, noise, body) : body(batch, noise);
  const auto &reconstruction = terms[0], &kl = terms[1], &combined = terms[2], &global = terms[3],
             &supervision = terms[4];
  const auto mean = [&](const at::Tensor& x, const char* term) {
    return detail::finite_mean(batch.weights.defined() ? x * batch.weights : x, term);
  };
  StepResult result;
  result.gradient_evaluations = reconstruction.size(0);
  result.reconstruction = mean(reconstruction, "reconstruction log p(x|z)");
  result.kl = mean(kl, "KL(q(z|x)||p(z))");
  result.elbo = combined.defined() ? mean(combined, "bound") : result.reconstruction - result.kl;
  if (global.defined())
    result.elbo +=
        detail::finite_mean(global, "bound of the global sites") / static_cast<double>(batch.total);
  if (supervision.defined())
    result.supervision = mean(supervision, "log q of what the guide observes");
  return result;
}

double Aevb::ascend(Moves moves, int64_t total) {
  const auto& with_prior = options_.weight_prior_on;
  double log_prior = 0;
  // The guide's first: of all gradients its first layer's has been written last.
  const auto& segments = parameters_.segments();
  for (auto at = segments.rbegin(); at != segments.rend(); ++at) {
    const Segment& segment = *at;
    if (moves != Moves::kAll && (moves == Moves::kTheta) != (segment.name == "theta")) continue;
    const bool has_prior = with_prior.empty() || std::find(with_prior.begin(), with_prior.end(),
                                                           segment.name) != with_prior.end();
    log_prior += detail::ascend(*optimizer_, parameters_, segment,
                                {.total = total,
                                 .weight_prior = has_prior ? options_.weight_prior : 0,
                                 .full_data = options_.full_data_objective});
  }
  return log_prior;
}

StepResult Aevb::step(const Batch& batch, const Noise& noise) {
  StepResult result = gradient(batch, noise, first_);
  if (options_.update == Update::kJoint) {
    result.log_prior = ascend(Moves::kAll, batch.total);
    return result;
  }
  (void)parameters_.segment("theta");  // that there is one to move apart
  result.log_prior = ascend(Moves::kOthers, batch.total);
  result.gradient_evaluations += gradient(batch, noise.site("theta"), second_).gradient_evaluations;
  result.log_prior += ascend(Moves::kTheta, batch.total);
  return result;
}

std::map<std::string, at::Tensor> Aevb::state() const {
  auto out = detail::state_of(parameters_, *optimizer_);
  for (const auto& [name, tensor] : options_.estimator_state) out["estimator." + name] = tensor;
  return out;
}

}  // namespace elbo
