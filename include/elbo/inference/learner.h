// What turns minibatches into updates.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

#include "elbo/batch.h"
#include "elbo/kernels/noise.h"

namespace elbo {

/// What one step saw, in nats per datum, before its update.
struct StepResult {
  double elbo = 0;
  double reconstruction = 0;
  double kl = 0;
  double log_prior = 0;  ///< (1/N) log p(weights), 0 without a prior
  /// What the objective has beside the bound: how well the guide predicts what it observes.
  double supervision = 0;
  /// Gradients of a log density or a bound that the step took, for each datum of the batch, by
  /// whichever variables: the work by which learners of different kinds may be compared.
  int64_t gradient_evaluations = 0;
};

/// A learning algorithm over a model and a guide.
class Learner {
 public:
  virtual ~Learner() = default;
  /// One update. Throws NumericError, naming the term, where a number is not finite: a term of the
  /// bound before anything is changed, a gradient before the block of parameters it belongs to is.
  virtual StepResult step(const Batch& batch, const Noise& noise) = 0;
  /// Everything that must be saved to go on bit-exactly, by name; tensors are shared.
  [[nodiscard]] virtual std::map<std::string, at::Tensor> state() const = 0;
};

}  // namespace elbo
