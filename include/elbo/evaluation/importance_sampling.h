// log p(x) by importance sampling with the guide.
#pragma once

#include "elbo/evaluation/log_evidence.h"
#include "elbo/program/trace.h"

namespace elbo {

/// **Equation** p(x) = E_q[p(x, z) / q(z | x)], by the mean of `draws` weights (Rezende, Mohamed
/// and Wierstra 2014). The mean is unbiased; its logarithm is low, as the importance-weighted bound
/// of as many draws is. Where the guide's tails are lighter than the posterior's the weights have
/// no variance, and the estimate is low by more than its standard error says: see `k_hat`.
/// **RNG** the guide's sites of `noise`, 50 draws together.
/// **Throws** ConfigError for fewer than 2 draws; SiteError as ImportanceWeighted does, whose
/// weights these are, but of any guide, discrete sites included.
[[nodiscard]] LogEvidence importance_evidence(const Program& model, const Program& guide,
                                              const Batch& batch, const Noise& noise,
                                              int64_t draws);

}  // namespace elbo
