// Linear layers whose weights follow q(W; xi), and three ways to let a minibatch see them.
#pragma once

#include <functional>
#include <string>

#include "elbo/nn/linear.h"
#include "elbo/nn/weight_posterior.h"

namespace elbo::nn {

/// All three give each row the same law of activations, and so the same expected bound and
/// gradient; but under the first its rows share their noise, and the variance of a minibatch's
/// gradient stays where it is however large the minibatch.
enum class WeightDraws {
  kShared,   ///< one W a particle, for all rows: of any q
  kLocal,    ///< local reparameterisation: activations are drawn instead (Kingma et al. 2015)
  kFlipout,  ///< one W a particle, its deviation with random signs for each row (Wen et al. 2018)
};

/// "shared", "local" or "flipout"; ConfigError otherwise.
[[nodiscard]] WeightDraws parse_weight_draws(const std::string& name);
[[nodiscard]] std::string to_string(WeightDraws draws);

/// A layer's weight [out, in] and bias [out]; or what belongs to each of their numbers.
struct LayerWeights {
  at::Tensor weight, bias;
};

/// activation(x W^T + b), each particle with its own W.
/// **Shapes** x [L, M, in], weight [L, 1, out, in], bias [L, 1, out]; gives [L, M, out].
[[nodiscard]] at::Tensor shared_linear(const at::Tensor& x, const LayerWeights& draw,
                                       Activation activation = Activation::kIdentity);

/// The mean and variance of independent numbers.
struct Moments {
  at::Tensor mean, variance;
};

/// Of x W^T + b for independent normal weights: normal too, given x, and independent along `out`.
/// **Equation** x E[W]^T + E[b], x^2 Var[W]^T + Var[b]
/// **Shapes** x [.., in], weights [out, in], biases [out]; gives [.., out].
[[nodiscard]] Moments linear_moments(const at::Tensor& x, const LayerWeights& mean,
                                     const LayerWeights& variance);

/// activation(y), y drawn as x W^T + b is for independent normal weights:
/// **Equation** y ~ N(x E[W]^T + E[b], x^2 Var[W]^T + Var[b]) (`linear_moments`), a row at a time.
/// **Shapes** x [L, M, in], weights [out, in], biases [out]; gives [L, M, out].
/// **RNG** one normal number for each of y.
[[nodiscard]] at::Tensor local_linear(const at::Tensor& x, const LayerWeights& mean,
                                      const LayerWeights& variance, const Noise& noise,
                                      Activation activation = Activation::kIdentity);

/// `shared_linear`, where row n has the weights E[W] + r_n s_n^T (W - E[W]) with signs r_n [out]
/// and s_n [in], and the biases E[b] + r_n (b - E[b]): of the law of W again, if the numbers of W
/// are independent and lie symmetrically about their means.
/// **Shapes** as `shared_linear`'s; mean as `local_linear`'s.
/// **RNG** the signs from the sites "in" and "out" of `noise`.
[[nodiscard]] at::Tensor flipout_linear(const at::Tensor& x, const LayerWeights& mean,
                                        const LayerWeights& draw, const Noise& noise,
                                        Activation activation = Activation::kIdentity);

/// The layers of one pass through a network whose weights follow q(W; xi).
class BayesianLayers {
 public:
  /// `weights` [L, 1, P] is a draw of q, which kLocal does not read; a layer's noise is
  /// `noise(layer)`, keyed by particles and rows. `posterior` must outlive the object.
  /// **Throws** ConfigError for kLocal or kFlipout where q is not mean-field.
  BayesianLayers(const WeightPosterior& posterior, WeightDraws draws, at::Tensor weights,
                 std::function<Noise(const std::string& layer)> noise);

  /// Layer `name` has the weights "NAME.weight" and "NAME.bias". x [L, M, in] to [L, M, out].
  [[nodiscard]] at::Tensor linear(const at::Tensor& x, const std::string& name,
                                  Activation activation = Activation::kIdentity) const;
  /// Of what `linear` draws without an activation, of kLocal only.
  [[nodiscard]] Moments moments(const at::Tensor& x, const std::string& name) const;

 private:
  [[nodiscard]] LayerWeights of(const at::Tensor& weights, const std::string& name) const;
  [[nodiscard]] LayerWeights mean_of(const std::string& name) const;

  const WeightPosterior& posterior_;
  WeightDraws draws_;
  at::Tensor weights_;
  at::Tensor variance_;  // of kLocal
  std::function<Noise(const std::string&)> noise_;
};

/// Throws ConfigError where `draws` are not of the law that weights of `family` have.
void check_weight_draws(WeightFamily family, WeightDraws draws);

}  // namespace elbo::nn
