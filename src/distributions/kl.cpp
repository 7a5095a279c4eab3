#include "elbo/distributions/kl.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "distributions/detail/kl_pairs.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/uniform.h"
#include "elbo/kernels/elementwise.h"
#include "elbo/kernels/likelihood.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

using detail::expanded;
using math::kHalfLogTwoPi;

at::Tensor infinity(const at::TensorOptions& options) {
  return at::full({}, std::numeric_limits<double>::infinity(), options);
}

/// AEVB appendix B: -1/2 (1 + log sigma^2 - mu^2 - sigma^2), exact also where sigma is near 1.
struct FromStandard {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& mu, const T& log_var) const {
    using namespace math;
    return 0.5 * (mu * mu + expm1(log_var) - log_var);
  }
};

at::Tensor kl_normal_normal(const Normal& q, const Normal& p) {
  if (p.is_standard() && q.log_var().defined())
    return expanded(evaluate(formula<FromStandard, 2>(), {q.loc(), q.log_var()}), q, p);
  const auto ratio = (q.scale() / p.scale()).square();
  const auto shift = ((q.loc() - p.loc()) / p.scale()).square();
  return expanded(0.5 * (ratio + shift - 1) + p.log_scale() - q.log_scale(), q, p);
}

// q log(q / p), 0 where q is 0, for probabilities given by their logarithms.
at::Tensor relative(const at::Tensor& log_q, const at::Tensor& log_p) {
  const auto q = log_q.exp();
  return at::where(q > 0, q * (log_q - log_p), at::zeros({}, q.options()));
}

at::Tensor kl_bernoulli_bernoulli(const Bernoulli& q, const Bernoulli& p) {
  return relative(at::log_sigmoid(q.logits()), at::log_sigmoid(p.logits())) +
         relative(at::log_sigmoid(-q.logits()), at::log_sigmoid(-p.logits()));
}

at::Tensor kl_categorical_categorical(const Categorical& q, const Categorical& p) {
  return relative(q.logits(), p.logits()).sum(-1);
}

at::Tensor kl_uniform_uniform(const Uniform& q, const Uniform& p) {
  const auto inside = (q.low() >= p.low()).logical_and(q.high() <= p.high());
  return at::where(inside, (p.high() - p.low()).log() - (q.high() - q.low()).log(),
                   infinity(q.low().options()));
}

at::Tensor kl_uniform_normal(const Uniform& q, const Normal& p) {
  // -H(q) - E_q[log p]
  const auto second_moment = q.variance() + (q.mean() - p.loc()).square();
  return expanded(
      -q.entropy() + p.log_scale() + kHalfLogTwoPi + 0.5 * second_moment / p.scale().square(), q,
      p);
}

at::Tensor kl_normal_uniform(const Normal& q, const Uniform& p) {
  return expanded(infinity(q.loc().options()), q, p);
}

using Registry = std::map<std::pair<std::type_index, std::type_index>, KlFunction>;

Registry& registry() {
  static Registry table;
  return table;
}

void add_builtin() {
  static const bool done = [] {
    const Registry from_users = registry();  // these stay
    detail::register_continuous_kl();
    detail::register_discrete_kl();
    detail::register_multivariate_kl();
    register_kl(kl_normal_normal);
    register_kl(kl_bernoulli_bernoulli);
    register_kl(kl_categorical_categorical);
    register_kl(kl_uniform_uniform);
    register_kl(kl_uniform_normal);
    register_kl(kl_normal_uniform);
    for (const auto& [pair, function] : from_users) registry().insert_or_assign(pair, function);
    return true;
  }();
  (void)done;
}

}  // namespace

void register_kl(std::type_index q, std::type_index p, KlFunction function) {
  registry().insert_or_assign({q, p}, std::move(function));
}

std::optional<at::Tensor> try_kl_divergence(const Distribution& q, const Distribution& p) {
  add_builtin();
  const auto* q_event = dynamic_cast<const Independent*>(&q);
  const auto* p_event = dynamic_cast<const Independent*>(&p);
  if (q_event != nullptr && p_event != nullptr &&
      q_event->reinterpreted() == p_event->reinterpreted()) {
    const auto* normal = dynamic_cast<const Normal*>(q_event->base().get());
    const auto* prior = dynamic_cast<const Normal*>(p_event->base().get());
    if (normal != nullptr && prior != nullptr && normal->log_var().defined() &&
        prior->is_standard() && q_event->reinterpreted() == 1) {
      return expanded(normal_kl_sum(normal->loc(), normal->log_var()), q, p);
    }
    auto kl = try_kl_divergence(*q_event->base(), *p_event->base());
    if (kl) kl = q_event->sum_event(*kl);
    return kl;
  }
  const auto found = registry().find({typeid(q), typeid(p)});
  if (found == registry().end()) return std::nullopt;
  auto kl = found->second(q, p);
  if (!kl.defined()) return std::nullopt;
  return kl;
}

at::Tensor kl_divergence(const Distribution& q, const Distribution& p) {
  if (auto kl = try_kl_divergence(q, p)) return *kl;
  throw UnsupportedError("kl_divergence: no closed form for " + q.name() + " against " + p.name() +
                         "; estimate it by monte_carlo_kl, or register one with register_kl");
}

MonteCarloKl monte_carlo_kl(const Distribution& q, const Distribution& p, const Noise& noise,
                            int64_t n) {
  if (n < 2)
    throw ConfigError("monte_carlo_kl: n = " + std::to_string(n) + "; expected at least 2 draws");
  const at::NoGradGuard no_grad;
  const auto batch = detail::broadcast_shape("monte_carlo_kl: batches of q and p", q.batch_shape(),
                                             p.batch_shape());
  const auto wide = q.expand(batch);
  const auto x = wide->sample(noise.draws(n), {n});
  const auto terms = (wide->log_prob(x) - p.log_prob(x)).to(at::kDouble);
  return {terms.mean(0), terms.std(0) / std::sqrt(static_cast<double>(n))};
}

}  // namespace elbo
