// What learners that ascend a bound by its gradient have in common.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <numbers>
#include <string>

#include "elbo/error.h"
#include "elbo/optim/optimizer.h"

namespace elbo::detail {

template <class T>
double sum_of(const at::Tensor& x) {
  const auto* data = static_cast<const T*>(x.data_ptr());
  double total = 0;
  for (int64_t i = 0; i < x.numel(); ++i) total += static_cast<double>(data[i]);
  return total;
}

/// In float64. **Throws** NumericError, naming the term, where it is not finite.
inline double finite_mean(const at::Tensor& terms, const char* term) {
  const auto x =
      terms.is_cpu() && terms.is_contiguous() ? terms : terms.detach().to(at::kCPU).contiguous();
  const double total =
      x.scalar_type() == at::kFloat ? sum_of<float>(x) : sum_of<double>(x.to(at::kDouble));
  const double value = total / static_cast<double>(x.numel());
  if (!std::isfinite(value)) throw NumericError(fmt::format("the {} became {}", term, value));
  return value;
}

/// What makes a sum of `terms` a mean: the gradient of each.
inline at::Tensor mean_seed(const at::Tensor& terms, double divisor = 1) {
  return at::full(terms.sizes(), 1 / (static_cast<double>(terms.numel()) * divisor),
                  terms.options().requires_grad(false));
}

/// The objective that a gradient per datum, and the prior on the weights, belong to.
struct Objective {
  int64_t total = 0;        ///< N
  double weight_prior = 0;  ///< precision of the Gaussian prior on all weights; 0 for none
  bool full_data = false;   ///< N times the bound per datum (AEVB eq 8)
};

inline void check_weight_prior(double weight_prior) {
  if (weight_prior < 0)
    throw ConfigError(fmt::format("weight_prior = {}; expected >= 0", weight_prior));
}

/// Moves a segment along the gradient that the buffer holds; gives (1/N) log p of its weights as
/// they were.
inline double ascend(Optimizer& optimizer, FlatParameters& parameters, const Segment& segment,
                     const Objective& objective) {
  const auto n = static_cast<double>(objective.total);
  // Per datum the prior counts 1/N; over the full data, 1 (AEVB 5).
  optimizer.gradient_scale = objective.full_data ? n : 1;
  optimizer.prior_precision = objective.weight_prior * (objective.full_data ? 1 : 1 / n);
  const at::NoGradGuard no_grad;
  const double squares = optimizer.step(parameters, segment).parameter_squares;
  if (objective.weight_prior == 0) return 0;
  const double log_normaliser = 0.5 * static_cast<double>(segment.size()) *
                                std::log(objective.weight_prior / (2 * std::numbers::pi));
  return (log_normaliser - 0.5 * objective.weight_prior * squares) / n;
}

/// A learner's state: its parameters, and what its optimiser keeps; of each parameter by its name,
/// so that no order of theirs is part of a checkpoint.
inline std::map<std::string, at::Tensor> state_of(const FlatParameters& parameters,
                                                  const Optimizer& optimizer) {
  const auto values = parameters.views_of(parameters.values(), "parameters.");
  std::map<std::string, at::Tensor> out(values.begin(), values.end());
  for (const auto& [name, tensor] : optimizer.state(parameters)) out["optimizer." + name] = tensor;
  return out;
}

}  // namespace elbo::detail
