#include "elbo/distributions/mixture_same_family.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include "elbo/kernels/log_sum_exp.h"

namespace elbo {
namespace {

std::vector<int64_t> batch_of(const Categorical& mixture, const Distribution& component) {
  const auto& batch = component.batch_shape();
  if (batch.empty() || batch.back() != mixture.num_categories())
    throw ShapeError(fmt::format(
        "MixtureSameFamily: {} of batch shape [{}]; expected a last dimension of {} components",
        component.name(), fmt::join(batch, ", "), mixture.num_categories()));
  return detail::broadcast_shape("MixtureSameFamily", mixture.batch_shape(),
                                 {batch.data(), batch.size() - 1});
}

Categorical expanded(const Categorical& mixture, at::IntArrayRef batch_shape) {
  auto shape = batch_shape.vec();
  shape.push_back(mixture.num_categories());
  return Categorical::from_logits(mixture.logits().expand(shape));
}

DistributionPtr expanded(const DistributionPtr& component, at::IntArrayRef batch_shape) {
  auto shape = batch_shape.vec();
  shape.push_back(component->batch_shape().back());
  return shape == component->batch_shape() ? component : component->expand(shape);
}

at::Tensor log_sum_over_components(const at::Tensor& x) { return log_sum_exp(x, -1).squeeze(-1); }

/// exp(log_a - log_b), 0 where it has no value.
at::Tensor ratio(const at::Tensor& log_a, const at::Tensor& log_b) {
  const auto r = (log_a - log_b).exp();
  return r.masked_fill(r.isfinite().logical_not(), 0);
}

/// d log_prob / dx at x, elementwise.
at::Tensor slopes(const Distribution& law, const at::Tensor& x) {
  const auto at = x.detach().clone().set_requires_grad(true);
  const auto found =
      torch::autograd::grad({law.log_prob(at).sum()}, {at}, {}, c10::nullopt, false, true)[0];
  if (!found.defined()) return at::zeros_like(x);
  return found.detach().masked_fill(found.isfinite().logical_not(), 0);
}

bool has_cdf(const Distribution& law, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  try {
    (void)law.cdf(x);
    return true;
  } catch (const UnsupportedError&) {
    return false;
  }
}

}  // namespace

MixtureSameFamily::MixtureSameFamily(const Categorical& mixture, const DistributionPtr& component)
    : DistributionBase(batch_of(mixture, *component), component->event_shape()),
      mixture_(expanded(mixture, batch_shape())),
      component_(expanded(component, batch_shape())) {}

std::string MixtureSameFamily::name() const {
  return "MixtureSameFamily(" + component_->name() + ")";
}

at::Tensor MixtureSameFamily::for_components(const at::Tensor& x) const {
  const auto& event = event_shape();
  if (x.dim() < static_cast<int64_t>(event.size()) ||
      x.sizes().slice(static_cast<size_t>(x.dim()) - event.size()) != at::IntArrayRef(event))
    throw ShapeError(fmt::format("{}: x of shape [{}]; expected events of shape [{}]", name(),
                                 fmt::join(x.sizes(), ", "), fmt::join(event, ", ")));
  return x.unsqueeze(-1 - static_cast<int64_t>(event.size()));
}

at::Tensor MixtureSameFamily::log_joint(const at::Tensor& x) const {
  return mixture_.logits() + component_->log_prob(for_components(x));
}

at::Tensor MixtureSameFamily::log_prob(const at::Tensor& x) const {
  return log_sum_over_components(log_joint(x));
}

at::Tensor MixtureSameFamily::cdf(const at::Tensor& x) const {
  if (!event_shape().empty()) unsupported("cdf");
  return (mixture_.probs() * component_->cdf(for_components(x))).sum(-1);
}

at::Tensor MixtureSameFamily::log_cdf(const at::Tensor& x) const {
  if (!event_shape().empty()) unsupported("log_cdf");
  return log_sum_over_components(mixture_.logits() + component_->log_cdf(for_components(x)));
}

at::Tensor MixtureSameFamily::log_survival(const at::Tensor& x) const {
  if (!event_shape().empty()) unsupported("log_survival");
  return log_sum_over_components(mixture_.logits() + component_->log_survival(for_components(x)));
}

at::Tensor MixtureSameFamily::averaged(const at::Tensor& values) const {
  auto weights = mixture_.probs();
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  for (int64_t i = 0; i < event_dims; ++i) weights = weights.unsqueeze(-1);
  // A component of weight 0 may have an infinite moment.
  return (weights * values.masked_fill(weights.eq(0), 0)).sum(-1 - event_dims);
}

at::Tensor MixtureSameFamily::mean() const { return averaged(component_->mean()); }

at::Tensor MixtureSameFamily::variance() const {
  const auto means = component_->mean();
  const auto centred = means - for_components(averaged(means));
  return averaged(component_->variance() + centred.square());
}

at::Tensor MixtureSameFamily::sample(const Noise& noise, at::IntArrayRef shape) const {
  const at::NoGradGuard no_grad;
  auto index = mixture_.sample(noise.site("mixture"), shape).unsqueeze(-1);
  const auto x = component_->sample(noise.site("component"), shape);
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  for (int64_t i = 0; i < event_dims; ++i) index = index.unsqueeze(-1);
  auto one = x.sizes().vec();
  const int64_t dim = x.dim() - 1 - event_dims;
  one[static_cast<size_t>(dim)] = 1;
  return x.gather(dim, index.expand(one)).squeeze(dim);
}

DistributionPtr MixtureSameFamily::on_the_line() const {
  auto law = component_;
  while (const auto* independent = dynamic_cast<const Independent*>(law.get()))
    law = independent->base();
  return law->event_shape().empty() ? law : nullptr;
}

bool MixtureSameFamily::has_rsample() const {
  const auto law = on_the_line();
  return law && !law->is_discrete() && law->has_rsample() &&
         has_cdf(*law, at::full({}, 0.5, mixture_.logits().options().requires_grad(false)));
}

at::Tensor MixtureSameFamily::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto law = on_the_line();
  if (!law || law->is_discrete())
    throw UnsupportedError(
        fmt::format("{}: no rsample; expected continuous components on the line, or Independent "
                    "over such",
                    name()));
  const auto z = sample(noise, shape);
  if (!at::GradMode::is_enabled()) return z;
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  // Everything below is S + B + K + D, D the coordinates of the event in order.
  const auto flat = [&](const at::Tensor& x) {
    return event_dims == 0 ? x.unsqueeze(-1) : x.flatten(x.dim() - event_dims);
  };
  const auto x = for_components(z);
  const auto log_density_each = law->log_prob(x);
  const auto log_density = flat(log_density_each), f = flat(law->cdf(x)), flat_z = flat(z);
  const int64_t dims = flat_z.size(-1);
  at::Tensor log_f, log_s, slope;
  {
    const at::NoGradGuard no_grad;
    log_f = flat(law->log_cdf(x));
    log_s = flat(law->log_survival(x));
  }
  if (dims > 1) slope = flat(slopes(*law, x.expand(log_density_each.sizes())));
  auto log_joint = mixture_.logits().expand(
      log_density.sizes().slice(0, static_cast<size_t>(log_density.dim()) - 1));
  std::vector<at::Tensor> out;
  for (int64_t d = 0; d < dims; ++d) {
    // The weights given the coordinates before, whose values have moved with the parameters.
    const auto log_w = at::log_softmax(log_joint, -1);
    const auto w = log_w.exp();
    const auto log_density_d = log_density.select(-1, d), f_d = f.select(-1, d);
    const auto log_p = (log_w + log_density_d).detach().logsumexp(-1, /*keepdim=*/true);
    // dF = sum_k w_k dF_k + F_k dw_k, where F_k - 1 may stand for F_k since sum_k dw_k = 0: above
    // the median it keeps the digits.
    const auto log_f_d = log_f.select(-1, d), log_s_d = log_s.select(-1, d);
    const auto upper = (log_w.detach() + log_f_d).logsumexp(-1, true) > -0.6931;
    const auto g = at::where(upper, -ratio(log_s_d, log_p), ratio(log_f_d, log_p));
    const auto moved = ratio(log_w.detach(), log_p) * (f_d - f_d.detach()) + g * (w - w.detach());
    const auto dz = -moved.sum(-1);
    out.push_back(flat_z.select(-1, d) + dz);
    if (d + 1 < dims)
      log_joint = log_joint + log_density_d + slope.select(-1, d) * dz.unsqueeze(-1);
  }
  return at::stack(out, -1).view(z.sizes());
}

Constraint MixtureSameFamily::support() const {
  const auto set = component_->support();
  // The hull of the components' bounds.
  const auto reduced = [&](const at::Tensor& bound, bool lower) -> at::Tensor {
    if (!bound.defined()) return {};
    const auto each = bound.detach().expand(component_->batch_shape());
    return lower ? each.amin(-1) : each.amax(-1);
  };
  return {set.kind(), reduced(set.lower(), true), reduced(set.upper(), false)};
}

DistributionPtr MixtureSameFamily::expand(at::IntArrayRef batch_shape) const {
  return std::make_shared<MixtureSameFamily>(expanded(mixture_, batch_shape),
                                             expanded(component_, batch_shape));
}

}  // namespace elbo
