// Draws, and log densities and divergences of whole rows summed over their elements, with the
// gradient in the same pass.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo {

/// x l - log(1 + exp l) in nats, elementwise: AEVB C.1 from the logits l, for x in [0, 1] and -inf
/// outside; infinite logits are sure.
/// **Shapes** broadcast.
[[nodiscard]] at::Tensor bernoulli_log_prob(const at::Tensor& logits, const at::Tensor& x);

/// The same summed over the last dimension.
/// **Shapes** logits [.., D] and x that broadcasts to it, over particles without a copy; gives
/// [..].
///
/// In float32 on the CPU one pass gives value and gradient: at most 112 terms summed in float32,
/// the sums of such stretches in float64. Elsewhere, where x wants a gradient, and where the
/// gradient is itself to be differentiated, the plain twin runs.
[[nodiscard]] at::Tensor bernoulli_log_prob_sum(const at::Tensor& logits, const at::Tensor& x);

/// sum_d -1/2 ((x_d - mu_d)^2 / e^v_d + v_d + log 2 pi): AEVB C.2, v = log sigma^2, in nats.
/// **Shapes** x, mu and log_var [.., D] broadcast; gives [..]. In float32 one pass as above,
/// summed in float64; x may want a gradient.
[[nodiscard]] at::Tensor normal_log_prob_sum(const at::Tensor& x, const at::Tensor& mu,
                                             const at::Tensor& log_var);

/// sum_d -1/2 (x_d^2 + log 2 pi): the density of N(0, I), in nats.
/// **Shapes** x [.., D]; gives [..]. In float32 one pass as above, summed in float64; x may want a
/// gradient.
[[nodiscard]] at::Tensor standard_normal_log_prob_sum(const at::Tensor& x);

/// sum_d 1/2 (mu_d^2 + e^v_d - v_d - 1) = KL(N(mu, e^v) || N(0, I)): AEVB appendix B, in nats.
/// **Shapes** mu and log_var [.., D] broadcast; gives [..]. In float32 one pass as above, summed in
/// float64.
[[nodiscard]] at::Tensor normal_kl_sum(const at::Tensor& mu, const at::Tensor& log_var);

/// mu + e^(v / 2) epsilon: AEVB 2.4, v = log sigma^2, epsilon without gradient.
/// **Shapes** epsilon of the draw's shape, to which mu and log_var broadcast.
[[nodiscard]] at::Tensor normal_draw(const at::Tensor& epsilon, const at::Tensor& mu,
                                     const at::Tensor& log_var);

}  // namespace elbo
