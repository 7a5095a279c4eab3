#include "elbo/inference/aevb.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace elbo {
namespace {

double finite_mean(const at::Tensor& terms, const char* term) {
  const double value = terms.detach().to(at::kDouble).mean().item<double>();
  if (!std::isfinite(value)) throw NumericError(fmt::format("the {} became {}", term, value));
  return value;
}

}  // namespace

Aevb::Aevb(Program model, Program guide, FlatParameters parameters,
           std::unique_ptr<Optimizer> optimizer, AevbOptions options)
    : model_(std::move(model)),
      guide_(std::move(guide)),
      parameters_(std::move(parameters)),
      optimizer_(std::move(optimizer)),
      options_(options) {
  options_.estimator.validate();
  if (options_.weight_prior < 0)
    throw ConfigError(fmt::format("weight_prior = {}; expected >= 0", options_.weight_prior));
}

StepResult Aevb::gradient(const Batch& batch, const Noise& noise) {
  const Bound bound = options_.estimator(model_, guide_, batch, noise);
  const auto objective = bound.per_datum();
  StepResult result;
  result.reconstruction = finite_mean(bound.reconstruction, "reconstruction log p(x|z)");
  result.kl = finite_mean(bound.kl, "KL(q(z|x)||p(z))");
  result.elbo = finite_mean(objective, "bound");
  if (options_.weight_prior > 0) {
    const auto& w = parameters_.values();
    const double squares = w.to(at::kDouble).square().sum().item<double>();
    const double log_normaliser = 0.5 * static_cast<double>(w.numel()) *
                                  std::log(options_.weight_prior / (2 * std::numbers::pi));
    result.log_prior =
        (log_normaliser - 0.5 * options_.weight_prior * squares) / static_cast<double>(batch.total);
  }
  parameters_.zero_gradients();
  objective.backward();
  const double norm = parameters_.gradients().norm().item<double>();
  if (!std::isfinite(norm)) throw NumericError(fmt::format("the gradient's norm became {}", norm));
  return result;
}

void Aevb::ascend(const Segment& segment, int64_t total) {
  const auto n = static_cast<double>(total);
  // Per datum the prior counts 1/N; over the full data, 1 (AEVB 5).
  optimizer_->gradient_scale = options_.full_data_objective ? n : 1;
  optimizer_->prior_precision = options_.weight_prior * (options_.full_data_objective ? 1 : 1 / n);
  const at::NoGradGuard no_grad;
  optimizer_->step(parameters_, segment);
}

StepResult Aevb::step(const Batch& batch, const Noise& noise) {
  const StepResult result = gradient(batch, noise);
  if (options_.update == Update::kJoint) {
    ascend(parameters_.all(), batch.total);
    return result;
  }
  ascend(parameters_.segment("phi"), batch.total);
  gradient(batch, noise.site("theta"));
  ascend(parameters_.segment("theta"), batch.total);
  return result;
}

std::map<std::string, at::Tensor> Aevb::state() const {
  std::map<std::string, at::Tensor> out = {{"parameters", parameters_.values()}};
  for (auto& [name, tensor] : optimizer_->state()) out["optimizer." + name] = tensor;
  return out;
}

}  // namespace elbo
