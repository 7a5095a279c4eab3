// KL(q || p) by a registry of closed forms, as torch.distributions.kl has it.
#pragma once

#include <functional>
#include <optional>
#include <typeindex>

#include "elbo/distributions/distribution.h"

namespace elbo {

/// KL(q || p) in nats, of the broadcast batch shape: infinite where q has weight that p has not.
/// Independent events are summed.
/// **Throws** UnsupportedError where no closed form is registered: see `monte_carlo_kl`.
[[nodiscard]] at::Tensor kl_divergence(const Distribution& q, const Distribution& p);

/// As `kl_divergence`, or nothing where no closed form is registered.
[[nodiscard]] std::optional<at::Tensor> try_kl_divergence(const Distribution& q,
                                                          const Distribution& p);

/// KL(q || p) and its standard error in nats, of the broadcast batch shape, without gradient.
struct MonteCarloKl {
  at::Tensor mean, standard_error;
};

/// The mean of log q - log p over `n` draws of q, for any pair of laws over the same events.
/// **RNG** q's draws of shape n from `noise.draws(n)`.
/// **Throws** ConfigError unless n >= 2.
[[nodiscard]] MonteCarloKl monte_carlo_kl(const Distribution& q, const Distribution& p,
                                          const Noise& noise, int64_t n);

/// May give an undefined tensor for laws that it has no closed form for.
using KlFunction = std::function<at::Tensor(const Distribution&, const Distribution&)>;

/// Adds or replaces the closed form for a pair of types. The registry is shared by the process:
/// register before computing starts.
void register_kl(std::type_index q, std::type_index p, KlFunction function);

template <class Q, class P>
void register_kl(at::Tensor (*function)(const Q&, const P&)) {
  register_kl(typeid(Q), typeid(P), [function](const Distribution& q, const Distribution& p) {
    return function(static_cast<const Q&>(q), static_cast<const P&>(p));
  });
}

}  // namespace elbo
