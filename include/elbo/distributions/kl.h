// KL(q || p) by a registry of closed forms, as torch.distributions.kl has it.
#pragma once

#include <functional>
#include <optional>
#include <typeindex>

#include "elbo/distributions/distribution.h"

namespace elbo {

/// KL(q || p) in nats, of the broadcast batch shape. Throws Error where no closed form is
/// registered; independent events are summed.
[[nodiscard]] at::Tensor kl_divergence(const Distribution& q, const Distribution& p);

/// As `kl_divergence`, or nothing where no closed form is registered.
[[nodiscard]] std::optional<at::Tensor> try_kl_divergence(const Distribution& q,
                                                          const Distribution& p);

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
