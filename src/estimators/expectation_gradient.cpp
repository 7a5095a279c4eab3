#include "elbo/estimators/expectation_gradient.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

namespace elbo {
namespace {

/// log p(z) summed over the batch dimensions that f has already summed or averaged away.
at::Tensor log_prob_like(const Distribution& law, const at::Tensor& z, const at::Tensor& f) {
  auto log_prob = law.log_prob(z);
  bool fits = f.dim() >= 1 && f.dim() <= log_prob.dim();
  for (int64_t d = 0; fits && d < f.dim(); ++d) fits = f.size(d) == log_prob.size(d);
  if (!fits)
    throw ShapeError(fmt::format(
        "expectation_gradient: f gave {}; expected leading dimensions of [draws, batch] = {}",
        f.sizes(), log_prob.sizes()));
  return f.dim() == log_prob.dim() ? log_prob : log_prob.flatten(f.dim()).sum(-1);
}

/// d y/d parameters; undefined where y does not depend on one.
std::vector<at::Tensor> gradients_of(const at::Tensor& y,
                                     const std::vector<at::Tensor>& parameters) {
  return torch::autograd::grad({y.sum()}, parameters, {}, /*retain_graph=*/false,
                               /*create_graph=*/false, /*allow_unused=*/true);
}

/// d E[f] has a term from the edge where that moves, which the score knows nothing of.
void check_support_stays(const Distribution& law, const std::vector<at::Tensor>& parameters) {
  const Constraint support = law.support();
  for (const auto& edge : {support.lower(), support.upper()}) {
    if (!edge.defined() || !edge.requires_grad()) continue;
    for (const auto& slope : gradients_of(edge, parameters))
      if (slope.defined() && slope.ne(0).any().item<bool>())
        throw UnsupportedError(law.name() +
                               ": the score function's estimate is biased, for the support moves "
                               "with a parameter; expected kReparameterized, or that one fixed");
  }
}

}  // namespace

ExpectationGradient expectation_gradient(GradientEstimator how, const Family& family,
                                         at::TensorList parameters,
                                         const std::function<at::Tensor(const at::Tensor&)>& f,
                                         const Noise& noise, int64_t draws) {
  if (draws < 2)
    throw ConfigError(fmt::format("expectation_gradient: draws = {}; expected >= 2", draws));
  // Each draw has parameters of its own, whose gradients are then that draw's.
  std::vector<at::Tensor> own;
  for (const auto& p : parameters) {
    std::vector<int64_t> shape = {draws};
    shape.insert(shape.end(), p.sizes().begin(), p.sizes().end());
    own.push_back(p.detach().expand(shape).contiguous().requires_grad_());
  }
  const at::AutoGradMode with_gradient(true);
  const DistributionPtr law = family(own);
  at::Tensor value, objective;
  if (how == GradientEstimator::kReparameterized) {
    value = objective = f(law->rsample(noise));
  } else {
    check_support_stays(*law, own);
    const auto z = law->sample(noise);
    value = f(z).detach();
    objective = value * log_prob_like(*law, z, value);
  }
  const auto gradients = gradients_of(objective, own);
  ExpectationGradient out;
  out.value = value.detach().to(at::kDouble).sum() / static_cast<double>(draws);
  for (size_t i = 0; i < own.size(); ++i) {
    // A parameter that the estimate does not depend on.
    const auto g = gradients[i].defined()
                       ? gradients[i].to(at::kDouble)
                       : at::zeros_like(own[i], own[i].options().dtype(at::kDouble));
    out.mean.push_back(g.mean(0));
    out.variance.push_back(g.var(0));
  }
  return out;
}

}  // namespace elbo
