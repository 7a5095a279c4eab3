#include "distributions/detail/kl_pairs.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/binomial.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/discretized_logistic.h"
#include "elbo/distributions/geometric.h"
#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/zero_inflated_negative_binomial.h"

namespace elbo {
namespace {

using at::Tensor;
using detail::add_on_line;
using detail::for_each;
using detail::for_pairs;
using detail::Laws;
using detail::or_infinite;

/// q (log q - log p), 0 where q is 0; neither has a NaN gradient where it is 0.
Tensor relative(const Tensor& log_q, const Tensor& log_p) {
  const auto some = log_q > -INFINITY, both = some.logical_and(log_p > -INFINITY);
  const auto held_q = at::where(both, log_q, 0.0), held_p = at::where(both, log_p, 0.0);
  const auto term = at::where(both, held_q.exp() * (held_q - held_p), 0.0);
  return or_infinite(both.logical_or(some.logical_not()), term);
}
/// q log(q / p), likewise, of probabilities or rates.
Tensor relative_of(const Tensor& q, const Tensor& p) {
  const auto some = q > 0, both = some.logical_and(p > 0);
  const auto held_q = at::where(both, q, 1.0), held_p = at::where(both, p, 1.0);
  const auto term = at::where(both, held_q * (held_q.log() - held_p.log()), 0.0);
  return or_infinite(both.logical_or(some.logical_not()), term);
}

/// The sum over 0 … last, which holds all that q may draw.
template <class Q, class P>
Tensor enumerated(const Q& q, const P& p, const Tensor& last) {
  const auto dims = std::max(q.batch_shape().size(), p.batch_shape().size());
  const auto values =
      at::arange(last.max().item<double>() + 1, last.options().requires_grad(false));
  std::vector<int64_t> shape(dims + 1, 1);
  shape[0] = values.numel();
  const auto k = values.view(shape);
  return relative(q.log_prob(k), p.log_prob(k)).sum(0);
}

Tensor kl_binomial_binomial(const Binomial& q, const Binomial& p) {
  const auto &n = q.total_count(), &m = p.total_count();
  // Of unlike counts the coefficients do not cancel.
  if (!n.eq(m).all().item<bool>()) return enumerated(q, p, n);
  return n * (relative_of(q.probs(), p.probs()) + relative_of(1 - q.probs(), 1 - p.probs()));
}

/// A coin against a law on 0, 1, 2, …; in the coin's own precision, as its logits are.
template <class P>
void add_bernoulli() {
  register_kl<Bernoulli, P>(+[](const Bernoulli& q, const P& p) {
    const auto at0 = at::zeros({}, q.logits().options().requires_grad(false));
    return detail::expanded(relative(at::log_sigmoid(-q.logits()), p.log_prob(at0)) +
                                relative(at::log_sigmoid(q.logits()), p.log_prob(at0 + 1)),
                            q, p);
  });
}
template <class Q>
void add_against_bernoulli() {
  register_kl<Q, Bernoulli>(+[](const Q& q, const Bernoulli& p) {
    // A coin is a binomial law of one trial, but its log_prob takes grey values.
    const auto at0 = at::zeros({}, p.logits().options().requires_grad(false));
    const auto log_0 = q.log_prob(at0), log_1 = q.log_prob(at0 + 1);
    const auto whole = q.log_survival(at0 + 1).eq(-INFINITY);
    const auto kl = relative(log_0, at::log_sigmoid(-p.logits())) +
                    relative(log_1, at::log_sigmoid(p.logits()));
    return detail::expanded(or_infinite(whole, kl), q, p);
  });
}

Tensor kl_geometric_geometric(const Geometric& q, const Geometric& p) {
  // E k = (1 - probs) / probs failures and a success
  return relative_of(q.probs(), p.probs()) / q.probs() +
         relative_of(1 - q.probs(), 1 - p.probs()) / q.probs();
}

Tensor kl_poisson_poisson(const Poisson& q, const Poisson& p) {
  return relative_of(q.rate(), p.rate()) + p.rate() - q.rate();
}

/// Undefined, for there is no closed form, where the counts differ.
Tensor kl_of_failures(const Tensor& q_count, const Tensor& q_probs, const Tensor& p_count,
                      const Tensor& p_probs) {
  if (!q_count.eq(p_count).all().item<bool>()) return {};
  return q_count * (relative_of(q_probs, p_probs) + relative_of(1 - q_probs, 1 - p_probs)) /
         (1 - q_probs);
}
Tensor count_of(const NegativeBinomial& law) { return law.total_count(); }
Tensor count_of(const Geometric& law) { return at::ones_like(law.probs()).detach(); }
Tensor again_of(const NegativeBinomial& law) { return law.probs(); }
Tensor again_of(const Geometric& law) { return 1 - law.probs(); }

}  // namespace

void detail::register_discrete_kl() {
  using Counts = Laws<Poisson, Geometric, NegativeBinomial, ZeroInflatedNegativeBinomial>;
  add_on_line<Binomial, Binomial>(kl_binomial_binomial);
  add_on_line<Poisson, Poisson>(kl_poisson_poisson);
  add_on_line<Geometric, Geometric>(kl_geometric_geometric);
  for_pairs(Laws<Geometric, NegativeBinomial>{}, Laws<Geometric, NegativeBinomial>{},
            []<class Q, class P>() {
              if constexpr (!(std::is_same_v<Q, Geometric> && std::is_same_v<P, Geometric>)) {
                add_on_line<Q, P>([](const Q& q, const P& p) {
                  return kl_of_failures(count_of(q), again_of(q), count_of(p), again_of(p));
                });
              }
            });

  // Finite sums.
  const auto add_finite = []<class Q, class P>() {
    add_on_line<Q, P>([](const Q& q, const P& p) {
      return enumerated(q, p, q.parameters()[std::is_same_v<Q, Binomial> ? 0 : 2]);
    });
  };
  for_pairs(Laws<Binomial>{}, Counts{}, add_finite);
  add_finite.operator()<Binomial, DiscretizedLogistic>();
  for_pairs(Laws<DiscretizedLogistic>{}, Counts{}, add_finite);
  add_finite.operator()<DiscretizedLogistic, Binomial>();
  add_finite.operator()<DiscretizedLogistic, DiscretizedLogistic>();
  for_each(Laws<Poisson, Geometric, NegativeBinomial, ZeroInflatedNegativeBinomial, Binomial,
                DiscretizedLogistic>{},
           []<class P>() { add_bernoulli<P>(); });
  for_each(Laws<Poisson, Geometric, NegativeBinomial, ZeroInflatedNegativeBinomial, Binomial,
                DiscretizedLogistic>{},
           []<class Q>() { add_against_bernoulli<Q>(); });

  // Without an end against with one: infinite, unless q is always 0.
  for_pairs(Counts{}, Laws<Binomial, DiscretizedLogistic>{}, []<class Q, class P>() {
    add_on_line<Q, P>([](const Q& q, const P& p) {
      const auto zero = at::zeros({}, at::kDouble).to(q.parameters()[0].device());
      return or_infinite(q.log_prob(zero) == 0, -p.log_prob(zero));
    });
  });

  register_kl<OneHotCategorical, OneHotCategorical>(
      +[](const OneHotCategorical& q, const OneHotCategorical& p) {
        return relative(q.logits(), p.logits()).sum(-1);
      });
}

}  // namespace elbo
