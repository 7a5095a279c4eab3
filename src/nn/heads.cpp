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
  if (head_.unit_variance) {
    auto mu = mu_->forward(features, head_.mean);
    return Normal(mu, at::ones_like(mu), Validate::kNo).to_event(1);
  }
  auto [mu, log_var] = linear_pair(features, *mu_, *log_var_);
  mu = activate(mu, head_.mean);
  if (head_.sigma_min > 0) log_var = soft_floor(log_var, 2 * std::log(head_.sigma_min));
  return Normal::from_log_var(std::move(mu), log_var).to_event(1);
}

BernoulliHead::BernoulliHead(int64_t in, int64_t out, const at::TensorOptions& options)
    : logits_(register_module("logits", std::make_shared<Linear>(in, out, options))) {}

Independent BernoulliHead::forward(const at::Tensor& features) const {
  return Bernoulli::from_logits(logits_->forward(features)).to_event(1);
}

}  // namespace elbo::nn
