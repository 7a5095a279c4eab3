// The one continuous latent-variable model whose posterior is exact: x = W z + loc + noise.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo {

/// p(z) = N(0, I), p(x | z) = N(W z + loc, diag(variance)): probabilistic PCA with one variance,
/// factor analysis with one for each column.
struct LinearGaussian {
  at::Tensor weight;    ///< W [D, d]
  at::Tensor loc;       ///< [D]
  at::Tensor variance;  ///< [D], or [1] for all; > 0
};

struct LinearGaussianPosterior {
  at::Tensor mean;            ///< E[z | x], [M, d]
  at::Tensor scale_tril;      ///< of p(z | x), [M, d, d]; [1, d, d] without a mask
  at::Tensor log_likelihood;  ///< log p of the observed entries, [M], in nats
};

/// p(z | x) and log p(x) from the observed entries alone, exact whatever is missing.
///
/// **Equation** with P = I + sum_j m_j w_j w_j^T / variance_j and m = P^-1 sum_j m_j w_j (x_j -
/// loc_j) / variance_j: p(z | x) = N(m, P^-1), and log p(x) = -1/2 [sum_j m_j (log 2 pi variance_j
/// + (x_j - loc_j - w_j m)^2 / variance_j) + |m|^2 + log |P|], a sum of squares, which keeps its
/// digits where the variance is small.
/// **Shapes** x [M, D]; mask [M, D] bool, true where observed, or undefined where all is. What x
/// holds at missing entries does not matter, NaN included.
/// **Throws** ShapeError.
[[nodiscard]] LinearGaussianPosterior linear_gaussian_posterior(const LinearGaussian& model,
                                                                const at::Tensor& x,
                                                                const at::Tensor& mask = {});

}  // namespace elbo
