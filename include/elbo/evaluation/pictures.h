// What a model generates, as arrays of images: pixel means in [0, 1].
#pragma once

#include "elbo/data/batch_source.h"
#include "elbo/models/semi_supervised.h"

namespace elbo {

/// Pixel means of x ~ p(x | z), z ~ N(0, I) (AEVB figure 5): [count, D].
[[nodiscard]] at::Tensor sample_means(const Model& model, int64_t count, const Noise& noise,
                                      const at::TensorOptions& options);

/// Draws of x itself, not its mean: [count, D].
[[nodiscard]] at::Tensor sample_data(const Model& model, int64_t count, const Noise& noise,
                                     const at::TensorOptions& options);

/// Pixel means on the grid of a two-dimensional latent space: linearly spaced coordinates on the
/// unit square, through the inverse CDF of the normal (AEVB appendix A, figure 4). Row by row from
/// the top, z_2 falling; [side * side, D]. ConfigError unless the latent space has 2 dimensions.
[[nodiscard]] at::Tensor manifold(const Model& model, int64_t side,
                                  const at::TensorOptions& options);

/// Pixel means of x ~ p(x | y, z2), z2 ~ N(0, I), of every class y with the same styles z2:
/// [count, K, D].
[[nodiscard]] at::Tensor class_samples(const SemiSupervised& model, int64_t count,
                                       const Noise& noise);

/// Rows in every class, each in its own style, the mean of q(z2 | y, x) at the likeliest y: pixel
/// means [M, K, D].
[[nodiscard]] at::Tensor in_every_class(const SemiSupervised& model, const at::Tensor& x);

/// Pixel means of p(x | z) at the guide's mean: [M, D].
[[nodiscard]] at::Tensor reconstruct(const Model& model, const at::Tensor& x);

}  // namespace elbo
