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
  nn::WeightPosteriorOptions posterior = {.start_scale = 0.1};
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
///
/// The head's weights V are of combinations of the last hidden units h, and these are learnt too:
/// **Equation** logits = V B h + b, B = I + "basis"
/// Hidden units that are smooth functions of few z move together, and a mean-field q over weights
/// of correlated inputs is as narrow in every direction as in the narrowest. B belongs to theta: it
/// makes the prior of a row of V B, and its posterior, Gaussians with a full covariance of the axes
/// that all rows share.
class BayesianDecoder {
 public:
  BayesianDecoder(BayesianDecoderConfig config, const at::TensorOptions& type);

  /// Theta: "prior_log_scale", the logarithms of r and c, or s, of each weight in turn; "basis"
  /// [h, h].
  [[nodiscard]] NamedParameters prior_parameters() const;
  /// Of q(W; xi).
  [[nodiscard]] NamedParameters posterior_parameters() const { return posterior_.parameters(); }
  [[nodiscard]] const nn::WeightPosterior& posterior() const { return posterior_; }
  /// Puts q's means of the hidden layers, biases too, at draws of p(W) as it starts, after
  /// `nn::initialise`: units that begin as nearly the same function of z are pruned, all but a few,
  /// before they can differ.
  void start_hidden_layers(const Noise& noise) const;

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
  /// The predictive law E_q[p(x | z, W)] of a row by itself. The head's weights are integrated out,
  /// pixel by pixel, which are independent given h; those of hidden layers are drawn for each row,
  /// so that the mean of its log_prob bounds the logarithm of the predictive density from below.
  /// **Shapes** z [L, M, latent], in the plate of a model; batch [L, M]
  /// A mean that goes through a function (`GaussianHeadOptions::mean`) is drawn like those.
  /// **Accuracy** Logits and log-variances by quadrature, a mean in closed form: of a pixel's
  /// log_prob 1e-5 where logits have a standard deviation of 2, 3e-3 where one of 7.
  /// **Throws** ConfigError where q is not mean-field.
  [[nodiscard]] Independent predictive(Trace& trace, const at::Tensor& z) const;
  /// E[W] of the network without B: "hidden.0.weight", ..., as an ordinary decoder names them.
  [[nodiscard]] NamedParameters mean_weights() const;

 private:
  using Layer = std::function<at::Tensor(const at::Tensor& x, const std::string& name,
                                         nn::Activation activation)>;
  [[nodiscard]] at::Tensor features(at::Tensor z, const Layer& layer) const;
  [[nodiscard]] Independent through(const at::Tensor& z, const Layer& layer) const;
  [[nodiscard]] at::Tensor basis() const;  // B

  BayesianDecoderConfig config_;
  nn::WeightPosterior posterior_;
  at::Tensor prior_log_scale_, basis_;
};

}  // namespace elbo
