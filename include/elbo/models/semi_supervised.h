// The semi-supervised generative model (UT; Kingma, Mohamed, Rezende and Welling 2014).
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "elbo/distributions/categorical.h"
#include "elbo/models/vae.h"

namespace elbo {

struct SemiSupervisedConfig {
  int64_t data_dim = 0;  ///< D
  int64_t classes = 10;  ///< K
  int64_t latent_dim = 50;
  std::vector<int64_t> hidden = {500};  ///< of the guide's two networks; the model's in reverse
  nn::Activation activation = nn::Activation::kSoftplus;
  Likelihood likelihood = Likelihood::kBernoulli;  ///< of x; not read where it is `features`'
  double sigma_min = 1e-3;                         ///< see VaeConfig
  /// M1: the auto-encoder whose latent variable is z1, of the same data. Without it the model is
  /// Kingma's M2, and x itself takes z1's place.
  std::optional<VaeConfig> features = {};

  void validate() const;
  [[nodiscard]] nlohmann::json to_json() const;
  [[nodiscard]] static SemiSupervisedConfig from_json(const nlohmann::json& config);
};

/// UT: z2 ~ N(0, I), y ~ Cat(1/K), z1 ~ p(z1 | y, z2), x ~ p(x | z1), which is Kingma's M1 + M2;
/// guide q(z1 | x) q(y | z1) q(z2 | y, z1). Without `features`: x ~ p(x | y, z2), M2; guide
/// q(y | x) q(z2 | y, x).
///
/// Sites "y", "z2", "z1" and "x", plate "data", column "x" of the batch: [M, D]. Where the batch
/// has a column "y", int64 [M], both programs observe it; otherwise y is latent. `Sgvb` then
/// enumerates it, other estimators draw it; rows with and without labels in one batch are for
/// `PartlyObserved`.
///
/// M1's weights are `fixed`: learnt before, by themselves, and put in by `set_features`.
///
/// As a `Model` its latent variable is [one-hot(y), z2], `latent_dim` = K + the config's.
class SemiSupervised final : public Model {
 public:
  SemiSupervised(SemiSupervisedConfig config, const at::TensorOptions& options);

  [[nodiscard]] Program model() const override;
  [[nodiscard]] Program guide() const override;
  [[nodiscard]] std::vector<std::pair<std::string, NamedParameters>> parameters() const override;
  [[nodiscard]] NamedParameters fixed() const override;
  /// Takes M1's weights, as copies. **Throws** ConfigError without `features`, or of another model.
  void set_features(const Vae& vae);

  /// q(y | x) for x [M, D]; at the mean of q(z1 | x).
  [[nodiscard]] Categorical classify(const at::Tensor& x) const;
  /// q(z2 | y, x) for x [M, D] and y int64 [M]; at the mean of q(z1 | x).
  [[nodiscard]] Independent style(const at::Tensor& x, const at::Tensor& y) const;
  /// p(x | y, z2) for y int64 [..] and z2 [.., latent]; at the mean of p(z1 | y, z2).
  [[nodiscard]] Independent generate(const at::Tensor& y, const at::Tensor& z2) const;

  /// The likeliest y, for sure, and z2 given it.
  [[nodiscard]] Independent encode(const at::Tensor& x) const override;
  /// y is the largest of the first K numbers.
  [[nodiscard]] Independent decode(const at::Tensor& z) const override;
  [[nodiscard]] at::Tensor sample_prior(int64_t count, const Noise& noise) const override;
  [[nodiscard]] int64_t classes() const { return config_.classes; }
  [[nodiscard]] int64_t style_dim() const { return config_.latent_dim; }
  [[nodiscard]] int64_t data_dim() const override { return config_.data_dim; }
  [[nodiscard]] int64_t latent_dim() const override { return config_.classes + config_.latent_dim; }
  [[nodiscard]] bool needs_unit_interval() const override;
  [[nodiscard]] nlohmann::json config() const override;

 private:
  struct Labelled;  // (x, y) to a distribution
  struct Classifier;

  /// What takes x's place in M2.
  [[nodiscard]] at::Tensor features_of(const at::Tensor& x) const;

  SemiSupervisedConfig config_;
  at::Tensor log_prior_;  // [K]
  std::shared_ptr<Labelled> decoder_, encoder_;
  std::shared_ptr<Classifier> classifier_;
  std::unique_ptr<Vae> features_;
};

}  // namespace elbo
