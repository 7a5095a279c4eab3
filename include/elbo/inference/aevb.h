// Auto-encoding variational Bayes (AEVB algorithm 1).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "elbo/estimators/sgvb.h"
#include "elbo/inference/learner.h"
#include "elbo/inference/planned_step.h"
#include "elbo/optim/optimizer.h"

namespace elbo {

enum class Update {
  kJoint,        ///< theta and phi together, from one gradient
  kAlternating,  ///< phi first, then theta with phi's new value (TT, UT)
};

struct AevbOptions {
  Estimator estimator = Sgvb{};
  /// What the estimator keeps from step to step (a baseline's, say), to be saved with the rest.
  std::map<std::string, at::Tensor> estimator_state = {};
  Update update = Update::kJoint;
  /// Precision of the Gaussian prior on weights and biases (AEVB 5: 1); 0 for none.
  double weight_prior = 0;
  /// The segments whose parameters have it; empty: all.
  std::vector<std::string> weight_prior_on = {};
  /// Ascend the full-data bound of AEVB eq 8 instead of the bound per datum: the paper's scale.
  bool full_data_objective = false;
  /// Products of the layers in bfloat16 (see Bfloat16Products), all else in the model's dtype.
  bool bfloat16_products = false;
  /// Run the kernels of a step from its plan, without the programs, where they come out the same:
  /// see PlannedStep. For programs whose course does not depend on anything but their arguments.
  bool planned = false;
};

/// Maximises a bound, SGVB's unless another is given, over the segments "theta" (model) and "phi"
/// (guide), or whichever segments the parameters have; updates that alternate move "theta" apart
/// from all others. Works on any pair of programs.
class Aevb final : public Learner {
 public:
  Aevb(Program model, Program guide, FlatParameters parameters,
       std::unique_ptr<Optimizer> optimizer, AevbOptions options = {});

  /// `gradient_evaluations`: one a draw of z, twice that where theta and phi alternate.
  StepResult step(const Batch& batch, const Noise& noise) override;
  [[nodiscard]] std::map<std::string, at::Tensor> state() const override;
  [[nodiscard]] const FlatParameters& parameters() const { return parameters_; }
  [[nodiscard]] Optimizer& optimizer() { return *optimizer_; }

 private:
  StepResult gradient(const Batch& batch, const Noise& noise, PlannedStep& planned);
  /// Leaves the gradient in the flat buffer; gives the bound's terms, in Bound's order.
  std::vector<at::Tensor> differentiate(const Batch& batch, const Noise& noise);
  enum class Moves { kAll, kTheta, kOthers };
  /// Moves segments; gives (1/N) log p of their weights as they were.
  double ascend(Moves moves, int64_t total);

  /// The gradient of each of some terms, all alike: the same tensor from step to step, for sizes
  /// seldom change.
  struct Seed {
    at::Tensor tensor{};
    double each = 0;
    const at::Tensor& of(const at::Tensor& terms, double value);
  };
  Seed combined_seed_, reconstruction_seed_, kl_seed_, global_seed_, supervision_seed_;
  Program model_, guide_;
  FlatParameters parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  AevbOptions options_;
  PlannedStep first_, second_;  // the second gradient of a step whose updates alternate
};

}  // namespace elbo
