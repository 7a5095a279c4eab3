#include "elbo/distributions/dirichlet.h"

#include <ATen/ATen.h>

#include "distributions/detail/vectors.h"

namespace elbo {
namespace {

constexpr const char* kName = "Dirichlet";

/// log of the product of Gamma(a_k) over Gamma(sum a)
at::Tensor log_beta(const at::Tensor& a) { return a.lgamma().sum(-1) - a.sum(-1).lgamma(); }

}  // namespace

Dirichlet::Dirichlet(at::Tensor concentration, Validate validate)
    : DistributionBase(detail::batch_of(kName, "concentration", concentration, 1),
                       detail::event_of(kName, "concentration", concentration, 1)),
      concentration_(std::move(concentration)) {
  detail::unify({&concentration_});
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "concentration", "> 0", concentration_, concentration_ > 0);
}

at::Tensor Dirichlet::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto logs = detail::log_gamma_draws(noise, extended_shape(shape), concentration_);
  return detail::positive(at::softmax(logs, -1), concentration_.scalar_type());
}

at::Tensor Dirichlet::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const auto a = detail::wide(concentration_);
  const auto given = detail::wide(x);
  const auto ok = detail::on_simplex(given);
  const auto inside =
      detail::or_filler(ok, given, at::ones({}, given.options().requires_grad(false)), 1);
  const auto log_density = at::xlogy(a - 1, inside).sum(-1) - log_beta(a);
  return detail::or_impossible(ok, log_density).to(concentration_.scalar_type());
}

at::Tensor Dirichlet::entropy() const {
  const auto a = detail::wide(concentration_);
  const auto sum = a.sum(-1);
  const auto entropy = log_beta(a) + (sum - static_cast<double>(a.size(-1))) * sum.digamma() -
                       ((a - 1) * a.digamma()).sum(-1);
  return entropy.to(concentration_.scalar_type());
}

at::Tensor Dirichlet::mean() const { return concentration_ / concentration_.sum(-1, true); }

at::Tensor Dirichlet::variance() const {
  const auto p = mean();
  return p * (1 - p) / (concentration_.sum(-1, true) + 1);
}

at::Tensor Dirichlet::mode() const {
  const auto above = (concentration_ - 1).clamp_min(0);
  const auto corner = at::one_hot(concentration_.argmax(-1), concentration_.size(-1))
                          .to(concentration_.scalar_type());
  const auto all_below = (concentration_ < 1).all(-1, /*keepdim=*/true);
  return at::where(all_below, corner, above / above.sum(-1, true));
}

DistributionPtr Dirichlet::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<Dirichlet>(*this);
  out->concentration_ = detail::expand_batch(concentration_, batch_shape, 1);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
