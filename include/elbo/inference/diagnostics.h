// Whether chains have mixed, and what their draws are worth (Vehtari, Gelman, Simpson, Carpenter
// and Bürkner 2021: "Rank-normalization, folding, and localization").
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo {

// **Shapes** draws [C, S, ...]: C chains of S draws of any number of quantities; gives [...],
// float64. Each chain counts as two, its halves (of an odd number of draws the middle one is left
// out), so that one chain is enough. NaN for a quantity that is constant or not finite everywhere.
// **Throws** ShapeError for fewer than two dimensions or four draws.

/// sqrt(var+ / W): the spread of all draws beside that within a half; 1 where all halves agree.
[[nodiscard]] at::Tensor split_r_hat(const at::Tensor& draws);
/// The larger of split_r_hat of the draws and of their distances from the median, both as normal
/// scores of their ranks: finds chains that differ in location or in spread, whatever the tails.
/// Above 1.01 they have not mixed.
[[nodiscard]] at::Tensor r_hat(const at::Tensor& draws);

/// The number of independent draws whose mean would be as exact: C S / tau, with tau from Geyer's
/// initial monotone sequence of the autocorrelations over all halves; at most C S log10(C S).
[[nodiscard]] at::Tensor effective_sample_size(const at::Tensor& draws);
/// That of the normal scores of the ranks: of the bulk, whatever the tails. Below 100 a chain the
/// other diagnostics are not to be relied on.
[[nodiscard]] at::Tensor bulk_effective_sample_size(const at::Tensor& draws);
/// Standard error of the mean of all draws: their standard deviation / sqrt(effective_sample_size).
[[nodiscard]] at::Tensor monte_carlo_error(const at::Tensor& draws);

}  // namespace elbo
