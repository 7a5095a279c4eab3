// What every ready model offers to training, evaluation and the program.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "elbo/nn/linear.h"
#include "elbo/parameters.h"
#include "elbo/program/trace.h"

namespace elbo {

/// A model p(x, z) with its guide q(z | x), their parameters and settings.
class Model {
 public:
  virtual ~Model() = default;

  [[nodiscard]] virtual Program model() const = 0;
  [[nodiscard]] virtual Program guide() const = 0;
  /// Segments "theta" (the model's parameters) and "phi" (the guide's, but for what a model says
  /// has a segment of its own).
  [[nodiscard]] virtual std::vector<std::pair<std::string, NamedParameters>> parameters() const = 0;

  /// What belongs to it too, and is saved with it, but is not learnt with it.
  [[nodiscard]] virtual NamedParameters fixed() const { return {}; }

  /// Starts the parameters of `parameters()`; see `initialise_model`.
  virtual void initialise(nn::Init init, const Noise& noise) const;

  /// q(z | x) for x [M, D].
  [[nodiscard]] virtual Independent encode(const at::Tensor& x) const = 0;
  /// p(x | z) for z [..., latent].
  [[nodiscard]] virtual Independent decode(const at::Tensor& z) const = 0;
  [[nodiscard]] virtual int64_t data_dim() const = 0;
  [[nodiscard]] virtual int64_t latent_dim() const = 0;
  /// True when x must lie in [0, 1] (Bernoulli means, means through a sigmoid).
  [[nodiscard]] virtual bool needs_unit_interval() const = 0;
  /// True when the model takes rows with missing entries.
  [[nodiscard]] virtual bool handles_missing() const { return false; }
  /// Everything needed to build it again: `make_model(config())`.
  [[nodiscard]] virtual nlohmann::json config() const = 0;
  /// log p(x) of each row [M], exact, where the model has it in closed form; undefined elsewhere.
  [[nodiscard]] virtual at::Tensor log_likelihood(const at::Tensor& x) const;
  /// z ~ p(z), [count, latent]: standard normal but where a model says otherwise.
  [[nodiscard]] virtual at::Tensor sample_prior(int64_t count, const Noise& noise) const;
};

/// Builds a model from its configuration, `{"model": "vae", ...}`; ConfigError names what is
/// wrong. Parameters start at 0: see `initialise_model`.
[[nodiscard]] std::unique_ptr<Model> make_model(const nlohmann::json& config,
                                                const at::TensorOptions& options);

/// Starts a model's weights; **RNG** site "init" of the seed, a stream a parameter.
void initialise_model(const Model& model, nn::Init init, uint64_t seed);

/// Theta and phi joined, in the order of `parameters()`.
[[nodiscard]] NamedParameters named_parameters(const Model& model);

/// All that a saved model consists of: those, and `fixed()`.
[[nodiscard]] NamedParameters saved_parameters(const Model& model);

}  // namespace elbo
