#include "elbo/distributions/bernoulli.h"

#include <ATen/ATen.h>

#include <limits>

#include "distributions/detail/law_info.h"
#include "distributions/detail/laws_and_rows.h"
#include "elbo/kernels/likelihood.h"

namespace elbo {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// `below` where x < 0, `between` where 0 <= x < 1, else `above`.
at::Tensor steps(const at::Tensor& x, double below, const at::Tensor& between, double above) {
  const auto number = [&](double value) { return at::full({}, value, between.options()); };
  return at::where(x < 0, number(below), at::where(x < 1, between, number(above)));
}

}  // namespace

Bernoulli::Bernoulli(FromLogits, at::Tensor logits)
    : DistributionBase(logits.sizes().vec(), {}), logits_(std::move(logits)) {}

Bernoulli::Bernoulli(const at::Tensor& probs, Validate validate)
    : Bernoulli(FromLogits{}, probs.log() - (-probs).log1p()) {
  if (validate == Validate::kYes)
    detail::check_parameter("Bernoulli", "probs", "in [0, 1]", probs,
                            probs.ge(0).logical_and(probs.le(1)));
}

Bernoulli Bernoulli::from_logits(at::Tensor logits) {
  return Bernoulli(FromLogits{}, std::move(logits));
}

at::Tensor Bernoulli::probs() const { return logits_.sigmoid(); }

at::Tensor Bernoulli::sample(const Noise& noise, at::IntArrayRef shape) const {
  const at::NoGradGuard no_grad;
  return noise.bernoulli(probs().expand(extended_shape(shape)).contiguous());
}

at::Tensor Bernoulli::log_prob(const at::Tensor& x) const { return bernoulli_log_prob(logits_, x); }

at::Tensor Bernoulli::log_prob_sum(const at::Tensor& x, int64_t event_dims) const {
  // K laws at M rows: sum_d x_d l_d - log(1 + e^l_d) is one product of matrices, where the logits
  // are finite and x has a density.
  if (event_dims == 1 && logits_.dim() > 1) {
    const auto& b = batch_shape();
    const auto split =
        detail::laws_and_rows("Bernoulli", x, 1, {{logits_, 1}}, {b.data(), b.size() - 1});
    if (split.fits && split.laws > 1 && x.size(-1) == b.back()) {
      const auto l = split.each_law(logits_, 1);
      const auto rows = split.each_row(x, 1).to(l.scalar_type());
      if (l.isfinite().all().item<bool>() && rows.ge(0).logical_and(rows.le(1)).all().item<bool>())
        return split.whole(at::addmm(at::log_sigmoid(-l).sum(1, /*keepdim=*/true), l, rows.t()));
    }
  }
  if (event_dims == 1) return bernoulli_log_prob_sum(logits_, x);
  return DistributionBase::log_prob_sum(x, event_dims);
}

at::Tensor Bernoulli::cdf(const at::Tensor& x) const {
  return steps(x, 0, at::sigmoid(-logits_), 1);
}
at::Tensor Bernoulli::log_cdf(const at::Tensor& x) const {
  return steps(x, -kInfinity, at::log_sigmoid(-logits_), 0);
}
at::Tensor Bernoulli::log_survival(const at::Tensor& x) const {
  return steps(x, 0, at::log_sigmoid(logits_), -kInfinity);
}
at::Tensor Bernoulli::icdf(const at::Tensor& u) const {
  return u.gt(at::sigmoid(-logits_)).to(logits_.scalar_type());
}

at::Tensor Bernoulli::entropy() const {
  const auto p = probs();
  return -(at::xlogy(p, p) + at::xlogy(1 - p, 1 - p));
}

at::Tensor Bernoulli::variance() const { return probs() * at::sigmoid(-logits_); }

at::Tensor Bernoulli::mode() const { return logits_.ge(0).to(logits_.scalar_type()); }
Constraint Bernoulli::support() const { return Constraint::Kind::kBinary; }

DistributionPtr Bernoulli::expand(at::IntArrayRef batch_shape) const {
  return std::shared_ptr<Bernoulli>(new Bernoulli(FromLogits{}, logits_.expand(batch_shape)));
}

namespace detail {
LawInfo bernoulli_law() { return law_info<Bernoulli, 1>("Bernoulli", {{{"probs", Range::kUnit}}}); }
}  // namespace detail

}  // namespace elbo
