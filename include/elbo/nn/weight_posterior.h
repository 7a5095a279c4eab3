// q(W; xi): a law over the weights of a network, which are then latent variables (FVB; AEVB
// 7(iii)).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "elbo/distributions/distribution.h"
#include "elbo/parameters.h"

namespace elbo::nn {

enum class WeightFamily {
  kMeanField,  ///< a Normal a weight: 2 P numbers
  kLowRank,    ///< covariance F F^T + diag(d), F of `rank` columns: (2 + rank) P numbers
  kCholesky,   ///< any covariance: P (P + 3) / 2 numbers, for some hundred weights at most
};

struct WeightPosteriorOptions {
  WeightFamily family = WeightFamily::kMeanField;
  int64_t rank = 4;           ///< of kLowRank
  double start_scale = 0.05;  ///< every weight's standard deviation at the start

  void validate() const;
};

/// Weights by name, in a fixed order; a matrix is [out, in] as in `linear`.
using WeightShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

/// A Gaussian over all the weights of a set together, laid one after another into a vector [P].
///
/// Its parameters xi start at 0, where every weight is N(0, start_scale^2), spreads being kept
/// relative to that; but the factor of kLowRank starts at small numbers, for at 0 it has no
/// gradient. The means have the shapes of the weights, so that `initialise` starts them as it
/// starts the weights of an ordinary network.
/// **Throws** ConfigError for no weights, a name used twice, options out of range.
class WeightPosterior {
 public:
  WeightPosterior(WeightShapes shapes, WeightPosteriorOptions options,
                  const at::TensorOptions& type);

  /// xi: "NAME.loc" of each weight; then "log_var" [P] of kMeanField, "log_var" [P] and "factor"
  /// [P, rank] of kLowRank, "log_var" [P] and "below" [P (P - 1) / 2] of kCholesky.
  [[nodiscard]] NamedParameters parameters() const;
  /// Over events [P], differentiable along xi.
  [[nodiscard]] DistributionPtr law() const;

  [[nodiscard]] at::Tensor loc() const;         ///< [P]
  [[nodiscard]] at::Tensor variance() const;    ///< [P], of each weight
  [[nodiscard]] at::Tensor covariance() const;  ///< [P, P], for sets of some hundred weights
  [[nodiscard]] at::Tensor loc(const std::string& name) const;  ///< of the weight's shape
  /// The weight `name` of draws, or of numbers of each weight: [.., P] to [.., shape], a view.
  [[nodiscard]] at::Tensor part(const at::Tensor& weights, const std::string& name) const;

  [[nodiscard]] int64_t size() const { return size_; }  ///< P
  [[nodiscard]] const WeightPosteriorOptions& options() const { return options_; }
  [[nodiscard]] const WeightShapes& shapes() const { return shapes_; }

 private:
  [[nodiscard]] size_t index_of(const std::string& name) const;
  [[nodiscard]] at::Tensor log_var() const;
  [[nodiscard]] at::Tensor factor() const;
  [[nodiscard]] at::Tensor scale_tril() const;

  WeightShapes shapes_;
  WeightPosteriorOptions options_;
  std::vector<int64_t> begins_;  // of each weight in [P]
  int64_t size_ = 0;
  std::vector<at::Tensor> locs_;
  at::Tensor log_var_;  // less that of start_scale
  at::Tensor factor_;   // of kLowRank, in units of start_scale
  at::Tensor below_;    // of kCholesky, the diagonal's left side, in units of start_scale
  at::Tensor places_;   // of `below_` in a matrix [P * P]
};

}  // namespace elbo::nn
