// A decoder p(x | z, W) whose weights are latent variables (FVB).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "elbo/nn/bayesian_linear.h"
#include "elbo/nn/heads.h"
#include "elbo/program/trace.h"

namespace elbo {

struct BayesianDecoderConfig {
  int64_t latent_dim = 0;
  int64_t data_dim = 0;
  std::vector<int64_t> widths = {500};  ///< of the hidden layers, from z to x
  nn::Activation activation = nn::Activation::kTanh;
  bool bernoulli = true;  ///< else a Gaussian head
  nn::GaussianHeadOptions gaussian = {};
  nn::WeightPosteriorOptions posterior = {.start_scale = 0.02};
  nn::WeightDraws draws = nn::WeightDraws::kLocal;
};

/// A multilayer perceptron with a head, its weights W one site outside of the plate.
///
/// p(W; theta) has weight (i, j) of a matrix N(0, r_i^2 c_j^2 / columns) and every bias of a vector
/// N(0, s^2). The r, c and s start at 1 and are learnt with the bound (empirical Bayes, as in
/// automatic relevance determination): a fixed N(0, 1) would ask every row of the head for nats of
/// each hidden unit that it does not need, and most pixels need few.
/// Under kLocal a model's layers do not read the site's value but draw from q(W; xi) by row: what
/// is bounded is the same.
class BayesianDecoder {
 public:
  BayesianDecoder(BayesianDecoderConfig config, const at::TensorOptions& type);

  /// Theta: "prior_log_scale", the logarithms of r and c, or s, of each weight in turn.
  [[nodiscard]] NamedParameters prior_parameters() const;
  /// Of q(W; xi).
  [[nodiscard]] NamedParameters posterior_parameters() const { return posterior_.parameters(); }
  [[nodiscard]] const nn::WeightPosterior& posterior() const { return posterior_; }

  /// W ~ p(W), of a model; before its plate.
  [[nodiscard]] at::Tensor sample_prior(Trace& trace) const;
  /// W ~ q(W), of a guide; before its plate.
  void sample_posterior(Trace& trace) const;
  /// p(x | z, W) in the plate of a model. **Shapes** z [L, M, latent], weights as `sample_prior`
  /// gives them; batch [L, M].
  [[nodiscard]] Independent forward(Trace& trace, const at::Tensor& z,
                                    const at::Tensor& weights) const;
  /// p(x | z, E[W]) for z [.., latent].
  [[nodiscard]] Independent at_mean(const at::Tensor& z) const;

 private:
  using Layer = std::function<at::Tensor(const at::Tensor& x, const std::string& name,
                                         nn::Activation activation)>;
  [[nodiscard]] Independent through(at::Tensor x, const Layer& layer) const;

  BayesianDecoderConfig config_;
  nn::WeightPosterior posterior_;
  at::Tensor prior_log_scale_;
};

}  // namespace elbo
