#include "elbo/distributions/linear_gaussian.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numbers>

#include "elbo/error.h"

namespace elbo {

LinearGaussianPosterior linear_gaussian_posterior(const LinearGaussian& model, const at::Tensor& x,
                                                  const at::Tensor& mask) {
  const auto& w = model.weight;
  const int64_t columns = w.size(0), d = w.size(1);
  if (x.dim() != 2 || x.size(1) != columns || (mask.defined() && mask.sizes() != x.sizes()))
    throw ShapeError(
        fmt::format("linear_gaussian_posterior: x of shape [{}]; expected [M, {}], and "
                    "the mask as x",
                    fmt::join(x.sizes(), ", "), columns));
  const auto variance = model.variance.expand({columns});
  const auto precise = w / variance.unsqueeze(1);  // [D, d]
  auto centred = x - model.loc;
  at::Tensor observed;  // [M, D] of 0 and 1, or [1, D]
  if (mask.defined()) {
    centred = centred.masked_fill(mask.logical_not(), 0);
    observed = mask.to(x.dtype());
  } else {
    observed = at::ones({1, columns}, x.options());
  }
  const auto products = (precise.unsqueeze(2) * w.unsqueeze(1)).flatten(1);  // [D, d d]
  const auto precision = observed.matmul(products).view({-1, d, d}) + at::eye(d, x.options());
  const auto root = at::linalg_cholesky(precision);          // P = R R^T
  const auto target = centred.matmul(precise).unsqueeze(2);  // [M, d, 1]
  const auto half = at::linalg_solve_triangular(root, target, /*upper=*/false);
  const auto mean =
      at::linalg_solve_triangular(root.transpose(-2, -1), half, /*upper=*/true).squeeze(2);
  // P^-1 = R^-T R^-1, whose lower factor is found from the reversed order of coordinates.
  const auto flipped = at::linalg_cholesky(precision.flip({-2, -1})).flip({-2, -1});
  const auto scale_tril = at::linalg_solve_triangular(flipped.transpose(-2, -1),
                                                      at::eye(d, x.options()), /*upper=*/false);
  const auto residual = centred - observed * mean.matmul(w.t());
  const auto log_det = root.diagonal(0, -2, -1).log().sum(-1);
  const auto log_variance = (observed * (2 * std::numbers::pi * variance).log()).sum(1);
  const auto log_likelihood =
      -0.5 * (log_variance + (residual.square() / variance).sum(1) + mean.square().sum(1)) -
      log_det;
  return {mean, scale_tril, log_likelihood};
}

}  // namespace elbo
