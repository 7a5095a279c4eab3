// The variational auto-encoder (AEVB 3 and C; UT; TT).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "elbo/models/model.h"
#include "elbo/nn/heads.h"
#include "elbo/nn/mlp.h"

namespace elbo {

class BayesianDecoder;

/// p(x | z).
enum class Likelihood {
  kBernoulli,        ///< AEVB C.1
  kGaussian,         ///< AEVB C.2: mean and log-variance heads
  kGaussianSigmoid,  ///< AEVB 5, Frey Face: as kGaussian with the mean through a sigmoid
  kGaussianUnit,     ///< TT: N(mu(z), I)
};

/// "bernoulli", "gaussian", "gaussian-sigmoid" or "gaussian-unit"; ConfigError otherwise.
[[nodiscard]] Likelihood parse_likelihood(const std::string& name);
[[nodiscard]] std::string to_string(Likelihood likelihood);
/// The head of a Gaussian one.
[[nodiscard]] nn::GaussianHeadOptions gaussian_head(Likelihood likelihood, double sigma_min);

/// q(z | x).
enum class Encoder {
  kGaussian,      ///< AEVB C.2: mean and log-variance heads
  kGaussianTanh,  ///< UT: the mean through tanh, the variance through exp
  kGaussianUnit,  ///< TT: N(mu(x), I)
};

/// What the decoder's weights are.
enum class Weights {
  kPoint,  ///< parameters
  kBayes,  ///< latent variables (FVB): see BayesianDecoder
};

struct VaeConfig {
  int64_t data_dim = 0;  ///< D
  int64_t latent_dim = 20;
  std::vector<int64_t> hidden = {500};  ///< the encoder's widths; the decoder's in reverse
  nn::Activation activation = nn::Activation::kTanh;
  Likelihood likelihood = Likelihood::kBernoulli;
  Encoder encoder = Encoder::kGaussian;
  /// Smooth floor of the Gaussian likelihoods' sigma; without one the density of a constant pixel
  /// grows without limit.
  double sigma_min = 1e-3;
  Weights weights = Weights::kPoint;

  void validate() const;
  [[nodiscard]] nlohmann::json to_json() const;
  [[nodiscard]] static VaeConfig from_json(const nlohmann::json& config);
};

/// z ~ N(0, I), x ~ p(x | decoder(z)); q(z | x) from the encoder. Sites "z" and "x", plate "data",
/// column "x" of the batch: [M, D]. With kBayes also the site "decoder.weights" outside of the
/// plate; theta is then the scales and axes of p(W), and q(W)'s parameters are a segment "xi" of
/// their own.
class Vae final : public Model {
 public:
  Vae(VaeConfig config, const at::TensorOptions& options);

  [[nodiscard]] Program model() const override;
  [[nodiscard]] Program guide() const override;
  [[nodiscard]] std::vector<std::pair<std::string, NamedParameters>> parameters() const override;
  void initialise(nn::Init init, const Noise& noise) const override;
  [[nodiscard]] Independent encode(const at::Tensor& x) const override;
  /// With kBayes at the weights' mean.
  [[nodiscard]] Independent decode(const at::Tensor& z) const override;
  /// The same model with the decoder's weights fixed at their mean, of kPoint: to be evaluated by
  /// estimators that take rows one by one, or exported. Parameters are copies.
  [[nodiscard]] std::unique_ptr<Vae> at_mean_weights() const;
  /// The same model, of kBayes and of the same parameters, with the weights integrated out of each
  /// row's law (`BayesianDecoder::predictive`): its bound is one of log E_q[p(x | W)], rows one by
  /// one, and nothing to learn by. **Throws** ConfigError of kPoint.
  [[nodiscard]] std::unique_ptr<Vae> with_integrated_weights() const;
  [[nodiscard]] int64_t data_dim() const override { return config_.data_dim; }
  [[nodiscard]] int64_t latent_dim() const override { return config_.latent_dim; }
  [[nodiscard]] bool needs_unit_interval() const override;
  [[nodiscard]] nlohmann::json config() const override;

 private:
  struct Network;  // hidden layers and a head

  VaeConfig config_;
  std::shared_ptr<Network> encoder_, decoder_;  // one of the decoders
  std::shared_ptr<BayesianDecoder> bayesian_decoder_;
  bool integrate_ = false;  // bayesian_decoder_'s weights
};

}  // namespace elbo
