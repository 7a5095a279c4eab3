#include "elbo/inference/aevb.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "elbo/kernels/linear.h"

namespace elbo {
namespace {

template <class T>
double sum(const at::Tensor& x) {
  const auto* data = static_cast<const T*>(x.data_ptr());
  double total = 0;
  for (int64_t i = 0; i < x.numel(); ++i) total += static_cast<double>(data[i]);
  return total;
}

/// In float64. **Throws** NumericError, naming the term, where it is not finite.
double finite_mean(const at::Tensor& terms, const char* term) {
  const auto x =
      terms.is_cpu() && terms.is_contiguous() ? terms : terms.detach().to(at::kCPU).contiguous();
  const double total =
      x.scalar_type() == at::kFloat ? sum<float>(x) : sum<double>(x.to(at::kDouble));
  const double value = total / static_cast<double>(x.numel());
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
      options_(std::move(options)) {
  if (options_.bfloat16_products) (void)Bfloat16Products();  // now rather than at the first step
  if (options_.weight_prior < 0)
    throw ConfigError(fmt::format("weight_prior = {}; expected >= 0", options_.weight_prior));
}

const at::Tensor& Aevb::Seed::of(const at::Tensor& terms, double value) {
  const bool same = tensor.defined() && each == value && tensor.sizes() == terms.sizes() &&
                    tensor.scalar_type() == terms.scalar_type() &&
                    tensor.device() == terms.device();
  if (!same) tensor = at::full(terms.sizes(), value, terms.options().requires_grad(false));
  each = value;
  return tensor;
}

StepResult Aevb::gradient(const Batch& batch, const Noise& noise) {
  std::optional<Bfloat16Products> rounding;
  if (options_.bfloat16_products) rounding.emplace();
  const Bound bound = options_.estimator(model_, guide_, batch, noise);
  StepResult result;
  result.reconstruction = finite_mean(bound.reconstruction, "reconstruction log p(x|z)");
  result.kl = finite_mean(bound.kl, "KL(q(z|x)||p(z))");
  std::vector<at::Tensor> roots, seeds;
  // Of `weight` times the mean of the terms.
  const auto ascend = [&](const at::Tensor& terms, double weight, Seed& seed) {
    if (!terms.requires_grad()) return;
    roots.push_back(terms);
    seeds.push_back(seed.of(terms, weight / static_cast<double>(terms.numel())));
  };
  if (bound.combined.defined()) {
    result.elbo = finite_mean(bound.combined, "bound");
    ascend(bound.combined, 1, combined_seed_);
  } else {  // without the node of a difference
    result.elbo = result.reconstruction - result.kl;
    ascend(bound.reconstruction, 1, reconstruction_seed_);
    ascend(bound.kl, -1, kl_seed_);
  }
  if (bound.global.defined()) {
    const auto total = static_cast<double>(bound.total);
    result.elbo += finite_mean(bound.global, "bound of the global sites") / total;
    ascend(bound.global, 1 / total, global_seed_);
  }
  parameters_.backward(roots, seeds);
  return result;
}

double Aevb::ascend(const Segment& segment, int64_t total) {
  const auto n = static_cast<double>(total);
  // Per datum the prior counts 1/N; over the full data, 1 (AEVB 5).
  optimizer_->gradient_scale = options_.full_data_objective ? n : 1;
  optimizer_->prior_precision = options_.weight_prior * (options_.full_data_objective ? 1 : 1 / n);
  const at::NoGradGuard no_grad;
  const double squares = optimizer_->step(parameters_, segment).parameter_squares;
  if (options_.weight_prior == 0) return 0;
  const double log_normaliser = 0.5 * static_cast<double>(segment.size()) *
                                std::log(options_.weight_prior / (2 * std::numbers::pi));
  return (log_normaliser - 0.5 * options_.weight_prior * squares) / n;
}

StepResult Aevb::step(const Batch& batch, const Noise& noise) {
  StepResult result = gradient(batch, noise);
  if (options_.update == Update::kJoint) {
    result.log_prior = ascend(parameters_.all(), batch.total);
    return result;
  }
  result.log_prior = ascend(parameters_.segment("phi"), batch.total);
  gradient(batch, noise.site("theta"));
  result.log_prior += ascend(parameters_.segment("theta"), batch.total);
  return result;
}

std::map<std::string, at::Tensor> Aevb::state() const {
  std::map<std::string, at::Tensor> out = {{"parameters", parameters_.values()}};
  for (auto& [name, tensor] : optimizer_->state()) out["optimizer." + name] = tensor;
  return out;
}

}  // namespace elbo
