// EM for mixtures from start to end: where to begin, when to stop, what to do about empty
// components.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "elbo/inference/em.h"
#include "elbo/kernels/noise.h"

namespace elbo {

enum class MixtureStart {
  kKmeans,  ///< k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's iterations
  kRandom   ///< the nearest of K rows drawn at random
};

struct MixtureFitOptions {
  MixtureStart start = MixtureStart::kKmeans;
  int64_t restarts = 1;          ///< the best of so many starts is kept
  int64_t max_iterations = 200;  ///< of each
  double tolerance = 1e-6;       ///< stop at a smaller gain, in nats per datum
  int64_t start_rows = 20000;    ///< rows among which starts are looked for, spread over all
  /// Components of less than one row are given the rows that the mixture explains worst; kept only
  /// where the likelihood has risen. Not done by variational Bayes (`EmOptions::beside_rows`),
  /// which leaves components empty that it does not need.
  bool repair_empty = true;

  void validate() const;
};

struct MixtureFit {
  double log_likelihood = 0;  ///< nats per datum, of the parameters kept; or the bound
  int64_t restart = 0;        ///< the start that was kept, from 0
  int64_t iterations = 0;     ///< of it
  bool converged = false;
  int64_t repairs = 0;        ///< components brought back, in the start that was kept
  std::vector<double> curve;  ///< the log likelihood before each of its iterations
};

/// One iteration's news: the restart, the iteration within it, the log likelihood before it. False
/// ends the fit, with the best parameters so far.
using FitProgress = std::function<bool(int64_t restart, int64_t iteration, double log_likelihood)>;

/// Fits a model with one latent site, whose M steps include it, to rows with column "x" [M, D].
/// Whatever the parameters were, they are started anew.
/// **RNG** sites "restart", "seeds" of `noise`.
/// **Throws** as `Em`; DataError with fewer rows than components.
MixtureFit fit_mixture(Em& em, const RowStream& rows, int64_t components, const Noise& noise,
                       const MixtureFitOptions& options = {}, const FitProgress& progress = {});

/// The same start alone, without EM iterations.
void start_mixture(Em& em, const RowStream& rows, int64_t components, const Noise& noise,
                   const MixtureFitOptions& options = {});

}  // namespace elbo
