// Monte Carlo expectation maximisation (Wei & Tanner 1990; AEVB 5 and appendix E).
#pragma once

#include <memory>

#include "elbo/inference/latent_density.h"
#include "elbo/inference/learner.h"
#include "elbo/optim/optimizer.h"
#include "elbo/program/trace.h"

namespace elbo {

/// Where a datum's chain begins when its batch comes round.
enum class ChainStart {
  kPrior,       ///< at a draw from p(z)
  kGuide,       ///< at a draw from q(z | x)
  kPersistent,  ///< where it was left at the last visit; at first in the prior
};

/// The paper's settings where it states them: 10 leapfrog steps, a step size tuned to an acceptance
/// of 0.9, 5 updates. It does not say where chains start, nor how many transitions they make.
struct McemOptions {
  int64_t leapfrog_steps = 10;     ///< >= 1
  double target_acceptance = 0.9;  ///< in (0, 1)
  int64_t weight_updates = 5;      ///< along the gradient at one draw of z, >= 1
  /// kPersistent needs no burn-in after the first visit, and memory for every datum: `rows` and
  /// `latent_dim`.
  ChainStart start = ChainStart::kPrior;
  int64_t rows = 0;         ///< N, for kPersistent
  int64_t latent_dim = 0;   ///< D, the unconstrained latents of a datum, for kPersistent
  int64_t transitions = 1;  ///< a visit, >= 1
  /// Transitions before those for a batch with chains that start anew, >= 0: with kPersistent where
  /// one was never visited, else always.
  int64_t burn_in = 10;
  /// Precision of the Gaussian prior on the model's weights and biases (AEVB 5: 1); 0 for none.
  double weight_prior = 0;
  bool full_data_objective = false;  ///< as AevbOptions has it

  void validate() const;
};

/// Maximises log p(x) without a guide: draws z of each datum of the batch from p(z | x) by
/// Hamiltonian Monte Carlo, and ascends (1/M) sum log p(x, z) + (1/N) log p(theta) at them by the
/// segment "theta". By Fisher's identity E[d log p(x, z)] = d log p(x), so that where the weights
/// rest they are stationary for the likelihood itself.
///
/// One step size serves all chains, since a datum is seen once an epoch; its logarithm follows
/// 0.5 (mean acceptance - target) a transition.
/// `StepResult::elbo` is the mean of log p(x, z), no bound; `reconstruction` that of the observed
/// sites alone; `kl` is 0. `gradient_evaluations` are those of the chains and one a weight update,
/// without the few by which the first step finds a step size.
/// **RNG** the site "start" of a step's noise, and the site of each transition's number.
/// **Throws** SiteError where sites lie outside of the plate; ConfigError for kGuide without a
/// guide and for kPersistent where rows or latents are not those it was told.
class Mcem final : public Learner {
 public:
  /// `guide` is needed for kGuide only.
  Mcem(Program model, FlatParameters parameters, std::unique_ptr<Optimizer> optimizer,
       McemOptions options = {}, Program guide = {});

  StepResult step(const Batch& batch, const Noise& noise) override;
  [[nodiscard]] std::map<std::string, at::Tensor> state() const override;
  [[nodiscard]] const FlatParameters& parameters() const { return parameters_; }
  [[nodiscard]] Optimizer& optimizer() { return *optimizer_; }

  /// How the chains of the last step went.
  struct Chains {
    double acceptance = 0;             ///< mean over data and transitions
    int64_t divergences = 0;           ///< transitions with an energy error above 1000 nats
    int64_t gradient_evaluations = 0;  ///< of each datum
  };
  [[nodiscard]] const Chains& chains() const { return chains_; }
  [[nodiscard]] double step_size() const;

 private:
  [[nodiscard]] at::Tensor starts(const LatentDensity& density, const Batch& batch,
                                  const Noise& noise, bool* anew);
  [[nodiscard]] at::Tensor draw(const LatentDensity& density, const Batch& batch,
                                const Noise& noise);

  Program model_, guide_;
  FlatParameters parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  McemOptions options_;
  Chains chains_;
  at::Tensor log_step_;   // [1] float64; NaN until the first step
  at::Tensor positions_;  // [N, D]; NaN where never visited
};

}  // namespace elbo
