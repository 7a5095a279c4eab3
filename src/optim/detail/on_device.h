// Updates of parameters that are not on the CPU.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "elbo/kernels/plan.h"
#include "elbo/optim/optimizer.h"

namespace elbo::detail {

/// What may differ from step to step, as numbers or as tensors of no dimension on the device, where
/// a captured graph reads them anew.
template <class T>
struct UpdateNumbers {
  T scale, precision;  ///< of the gradient; of the prior
  T rate, root;        ///< of the rule
};
/// Moves the rule's states; gives what to add to w, for g = scale gradient - precision w.
using RuleOnDevice =
    std::function<at::Tensor(const at::Tensor& g, const UpdateNumbers<at::Tensor>& numbers)>;

/// The plain twin of the optimiser's pass (src/optim/optimizer.cpp), by ATen's operations: on any
/// device; on a CUDA device as a graph, captured at the second step.
class UpdatesOnDevice {
 public:
  /// As Optimizer::step on a segment that is counted as one.
  Optimizer::Seen step(FlatParameters& parameters, const Segment& segment,
                       const UpdateNumbers<double>& numbers, const RuleOnDevice& rule);

 private:
  struct Update {
    at::Tensor numbers;  // [4], on the host
    at::Tensor seen;     // [2], sums of squares as in Optimizer::Seen
    int64_t steps = 0;
    std::optional<Plan> plan;
  };
  std::map<int64_t, Update> of_segment_;  // by its begin
};

}  // namespace elbo::detail
