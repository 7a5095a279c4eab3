#include "elbo/nn/heads.h"

#include <ATen/ATen.h>

#include <cmath>

#include "elbo/error.h"
#include "elbo/kernels/soft_floor.h"

namespace elbo::nn {

GaussianHead::GaussianHead(int64_t in, int64_t out, GaussianHeadOptions head,
                           const at::TensorOptions& options)
    : head_(head), mu_(register_module("mu", std::make_shared<Linear>(in, out, options))) {
  if (head_.sigma_min < 0) throw ConfigError("GaussianHead: sigma_min must be >= 0");
  if (!head_.unit_variance)
    log_var_ = register_module("log_var", std::make_shared<Linear>(in, out, options));
}

Independent GaussianHead::forward(const at::Tensor& features) const {
  if (head_.unit_variance)
    return gaussian_law(mu_->forward(features, head_.mean), {}, {.unit_variance = true});
  const auto [mu, log_var] = linear_pair(features, *mu_, *log_var_);
  return gaussian_law(mu, log_var, head_);
}

Independent gaussian_law(const at::Tensor& mu, const at::Tensor& log_var,
                         const GaussianHeadOptions& head) {
  const auto mean = activate(mu, head.mean);
  if (head.unit_variance) return Normal(mean, at::ones_like(mean), Validate::kNo).to_event(1);
  const auto floored =
      head.sigma_min > 0 ? soft_floor(log_var, 2 * std::log(head.sigma_min)) : log_var;
  return Normal::from_log_var(mean, floored).to_event(1);
}

BernoulliHead::BernoulliHead(int64_t in, int64_t out, const at::TensorOptions& options)
    : logits_(register_module("logits", std::make_shared<Linear>(in, out, options))) {}

Independent BernoulliHead::forward(const at::Tensor& features) const {
  return Bernoulli::from_logits(logits_->forward(features)).to_event(1);
}

}  // namespace elbo::nn
