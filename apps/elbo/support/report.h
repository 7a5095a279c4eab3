#pragma once

#include "elbo/evaluation/elbo.h"
#include "support/loaded_run.h"

namespace elbo::cli {

/// Draws a run's pictures (curve.png, and for images samples.png, reconstructions.png and, of two
/// latent dimensions, manifold.png) and report.html, from its metrics and its model.
void write_report(const LoadedRun& run, const data::DataSet& set);

/// Reconstructions beside originals, as PNG.
[[nodiscard]] std::vector<std::byte> reconstruction_picture(const LoadedRun& run,
                                                            const data::BatchSource& source,
                                                            int64_t count);
/// A grid of random samples as in AEVB figure 5, or the manifold as in figure 4, as PNG.
[[nodiscard]] std::vector<std::byte> sample_picture(const LoadedRun& run, int64_t count,
                                                    uint64_t seed);
[[nodiscard]] std::vector<std::byte> manifold_picture(const LoadedRun& run, int64_t side);
/// Of a semi-supervised model, a row a style and a column a class: styles drawn from the prior; and
/// those of data, each row of which stands in front.
[[nodiscard]] std::vector<std::byte> classes_picture(const LoadedRun& run, int64_t count,
                                                     uint64_t seed);
[[nodiscard]] std::vector<std::byte> styles_picture(const LoadedRun& run,
                                                    const data::BatchSource& source, int64_t count);

}  // namespace elbo::cli
