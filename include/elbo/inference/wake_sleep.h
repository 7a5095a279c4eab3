// Wake-sleep (Hinton, Dayan, Frey and Neal 1995; AEVB 4) and its reweighted form.
#pragma once

#include <memory>
#include <vector>

#include "elbo/inference/learner.h"
#include "elbo/inference/planned_step.h"
#include "elbo/optim/optimizer.h"
#include "elbo/program/trace.h"

namespace elbo {

/// Where the guide learns in reweighted wake-sleep (Bornschein and Bengio 2015).
enum class GuidePhase {
  kSleep,  ///< from draws of the model
  kWake,   ///< from the data, by the weights that move theta
  kBoth,   ///< the mean of the two gradients
};

struct WakeSleepOptions {
  int64_t num_particles = 1;  ///< k, draws of the guide a row; 1: plain wake-sleep
  GuidePhase guide_phase = GuidePhase::kSleep;
  /// As in AevbOptions.
  double weight_prior = 0;
  bool full_data_objective = false;
  bool bfloat16_products = false;
  bool planned = false;

  /// ConfigError; the guide's wake phase needs k >= 2, for one weight is always 1.
  void validate() const;
};

/// Wake-sleep over any model and guide; unlike AEVB it ascends two objectives, which no one bound
/// has as its gradient, and needs no reparameterised draws: sites may be discrete.
///
/// **Equation** Per datum, z_i ~ q(z | x) and w_i = p(x, z_i) / q(z_i | x), W_i = w_i / sum_j w_j:
///     wake    theta += sum_i W_i d log p(x, z_i) / d theta
///             phi   += sum_i W_i d log q(z_i | x) / d phi          (kWake, kBoth)
///     sleep   phi   += d log q(z' | x') / d phi, (x', z') ~ p      (kSleep, kBoth)
/// with W = 1 for k = 1: the classical algorithm. Both phases see the parameters as they were
/// before the step.
///
/// What the model observes is drawn in the sleep phase, by the laws of the model (grey pixels under
/// a Bernoulli are dreamt as black or white), and handed to the guide as the column that has the
/// site's name; other columns, the mask and the lengths are the minibatch's.
///
/// **RNG** The wake phase draws as Aevb does from the same noise; the sleep phase from site "sleep"
/// of it, rows 0 .. M - 1.
/// **Throws** SiteError where model and guide have different latent sites, for sites outside the
/// plate, and for an observed site without a column of its name.
class WakeSleep final : public Learner {
 public:
  WakeSleep(Program model, Program guide, FlatParameters parameters,
            std::unique_ptr<Optimizer> optimizer, WakeSleepOptions options = {});

  /// `elbo` is that of the wake draws, log p(x, z) - log q(z | x), of which `reconstruction` and
  /// `kl` are the parts, as SGVB-A estimates them: to be put beside AEVB's.
  /// `gradient_evaluations`: k of the wake phase and, where there is one, 1 of the sleep phase.
  StepResult step(const Batch& batch, const Noise& noise) override;
  [[nodiscard]] std::map<std::string, at::Tensor> state() const override;
  [[nodiscard]] const FlatParameters& parameters() const { return parameters_; }
  [[nodiscard]] Optimizer& optimizer() { return *optimizer_; }

 private:
  /// Terms whose sum, each weighted by its seed, has the step's gradient.
  struct Terms {
    std::vector<at::Tensor> roots, seeds;
    void add(const at::Tensor& root, const at::Tensor& seed);
  };
  /// The terms of the bound at the wake draws, [k, M] each: reconstruction, kl, and the two
  /// together; then the sleep phase's log q, where there is one. Detached.
  using Found = std::vector<at::Tensor>;
  Found wake(Terms& terms, const Batch& batch, const Noise& noise) const;
  at::Tensor sleep(Terms& terms, const Batch& batch, const Noise& noise) const;
  /// **Throws** NumericError for a term that is not finite.
  static StepResult result_of(const Found& found);
  /// Leaves the gradient in the flat buffer.
  Found differentiate(const Batch& batch, const Noise& noise);

  Program model_, guide_;
  FlatParameters parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  WakeSleepOptions options_;
  PlannedStep planned_;
};

}  // namespace elbo
