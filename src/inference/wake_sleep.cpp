#include "elbo/inference/wake_sleep.h"

#include <optional>

#include "elbo/kernels/linear.h"
#include "elbo/program/dream.h"
#include "elbo/program/handlers.h"
#include "estimators/detail/trace_pair.h"
#include "inference/detail/ascent.h"

namespace elbo {

void WakeSleepOptions::validate() const {
  detail::check_weight_prior(weight_prior);
  const int64_t least = guide_phase == GuidePhase::kSleep ? 1 : 2;
  if (num_particles < least)
    throw ConfigError(fmt::format("WakeSleep: num_particles = {}; expected >= {}{}", num_particles,
                                  least,
                                  least > 1 ? " where the guide learns in the wake phase" : ""));
}

WakeSleep::WakeSleep(Program model, Program guide, FlatParameters parameters,
                     std::unique_ptr<Optimizer> optimizer, WakeSleepOptions options)
    : model_(std::move(model)),
      guide_(std::move(guide)),
      parameters_(std::move(parameters)),
      optimizer_(std::move(optimizer)),
      options_(options),
      planned_(parameters_.gradients()) {
  options_.validate();
  if (options_.bfloat16_products) (void)Bfloat16Products();  // now rather than at the first step
}

void WakeSleep::Terms::add(const at::Tensor& root, const at::Tensor& seed) {
  if (!root.requires_grad()) return;  // a model, or a guide, without parameters
  roots.push_back(root);
  seeds.push_back(seed);
}

WakeSleep::Found WakeSleep::wake(Terms& terms, const Batch& batch, const Noise& noise) const {
  const detail::TracePair pair("WakeSleep", model_, guide_, batch, noise, options_.num_particles,
                               detail::Draws::kDetached);
  at::Tensor log_likelihood, log_prior, log_q;
  for (const Site& p : pair.model.sites()) {
    if (!p.in_plate) throw SiteError("WakeSleep: site '" + p.name + "' lies outside the plate");
    detail::add(p.observed ? log_likelihood : log_prior, p.log_prob());
    if (!p.observed) detail::add(log_q, pair.guide.at(p.name).log_prob());
  }
  Bound bound{.reconstruction = log_likelihood};
  at::Tensor log_weights;
  {
    const at::NoGradGuard no_grad;
    if (log_q.defined()) bound.kl = log_q - log_prior;
    detail::fill(bound, {options_.num_particles, batch.size()}, batch.options());
    log_weights = bound.rows();
  }
  Found found = {bound.reconstruction.detach(), bound.kl.detach(), log_weights.detach()};
  const auto weights = log_weights.detach().softmax(0) / static_cast<double>(batch.size());
  if (log_likelihood.defined()) terms.add(log_likelihood, weights);
  if (log_prior.defined()) terms.add(log_prior, weights);
  if (options_.guide_phase == GuidePhase::kSleep || !log_q.defined()) return found;
  terms.add(log_q, options_.guide_phase == GuidePhase::kBoth ? weights / 2 : weights);
  return found;
}

at::Tensor WakeSleep::sleep(Terms& terms, const Batch& batch, const Noise& noise) const {
  const Dream dreamt = dream(model_, batch, noise);
  const Trace guide = Trace::run(replay(guide_, dreamt.trace), dreamt.batch, noise);
  at::Tensor log_q;
  for (const Site& q : guide.sites())
    if (!q.observed) detail::add(log_q, q.log_prob());
  if (!log_q.defined()) return {};
  terms.add(log_q, detail::mean_seed(log_q, options_.guide_phase == GuidePhase::kBoth ? 2 : 1));
  return log_q.detach();
}

StepResult WakeSleep::result_of(const Found& found) {
  StepResult result;
  result.reconstruction = detail::finite_mean(found[0], "reconstruction log p(x|z)");
  result.kl = detail::finite_mean(found[1], "KL(q(z|x)||p(z))");
  result.elbo = detail::finite_mean(found[2], "bound");
  return result;
}

WakeSleep::Found WakeSleep::differentiate(const Batch& batch, const Noise& noise) {
  std::optional<Bfloat16Products> rounding;
  if (options_.bfloat16_products) rounding.emplace(parameters_.values(), parameters_.rounded());
  Terms terms;
  Found found = wake(terms, batch, noise);
  // Before weights that are not numbers go on; of a GPU only afterwards, for this waits for it.
  if (found[0].is_cpu()) (void)result_of(found);
  if (options_.guide_phase != GuidePhase::kWake)
    found.push_back(sleep(terms, batch, noise.site("sleep")));
  if (terms.roots.empty()) throw ConfigError("WakeSleep: no parameter enters model or guide");
  parameters_.backward(terms.roots, terms.seeds);
  return found;
}

StepResult WakeSleep::step(const Batch& batch, const Noise& noise) {
  const auto body = [this](const Batch& b, const Noise& n) { return differentiate(b, n); };
  if (options_.bfloat16_products) (void)parameters_.rounded();  // what a plan reads
  const auto found = options_.planned ? planned_(batch, noise, body) : body(batch, noise);
  StepResult result = result_of(found);
  result.gradient_evaluations = options_.num_particles;
  if (options_.guide_phase != GuidePhase::kWake) {
    if (found[3].defined()) (void)detail::finite_mean(found[3], "sleep phase's log q(z|x)");
    ++result.gradient_evaluations;
  }
  result.log_prior = detail::ascend(*optimizer_, parameters_, parameters_.all(),
                                    {.total = batch.total,
                                     .weight_prior = options_.weight_prior,
                                     .full_data = options_.full_data_objective});
  return result;
}

std::map<std::string, at::Tensor> WakeSleep::state() const {
  return detail::state_of(parameters_, *optimizer_);
}

}  // namespace elbo
