#include "elbo/distributions/multinomial.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "distributions/detail/vectors.h"
#include "elbo/distributions/binomial.h"

namespace elbo {
namespace {

constexpr const char* kName = "Multinomial";

/// s(x) = log x! - x log x + x for whole numbers x >= 0
at::Tensor stirling_rest(const at::Tensor& x) {
  const auto least = x.clamp_min(1);
  const auto r = least.reciprocal(), r2 = r.square();
  const auto series =
      r * (1.0 / 12 - r2 * (1.0 / 360 - r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 / 1188))));
  const auto large = 0.5 * (2 * std::numbers::pi * least).log() + series;
  const auto small = (least + 1).lgamma() - least * least.log() + least;
  return at::where(x > 15, large, small) * x.gt(0);
}

/// x log(x / mean) - (x - mean) >= 0
at::Tensor deviance(const at::Tensor& x, const at::Tensor& mean) {
  return x * (x.clamp_min(1).log() - mean.log()) - x + mean;
}

}  // namespace

Multinomial::Multinomial(FromLogProbs, int64_t total_count, at::Tensor log_probs,
                         const at::Tensor& like, Validate validate)
    : DistributionBase(detail::batch_of(kName, "probs", log_probs, 1),
                       detail::event_of(kName, "probs", log_probs, 1)),
      total_count_(total_count),
      log_probs_(std::move(log_probs)),
      type_(at::isFloatingType(like.scalar_type()) ? like.scalar_type() : at::kFloat) {
  if (validate == Validate::kYes && total_count < 0)
    throw DomainError(fmt::format("{}: total_count must be >= 0, got {}", kName, total_count));
}

Multinomial::Multinomial(int64_t total_count, const at::Tensor& probs, Validate validate)
    : Multinomial(FromLogProbs{}, total_count, detail::log_of_probs(kName, probs, validate), probs,
                  validate) {}

Multinomial Multinomial::from_logits(int64_t total_count, const at::Tensor& logits,
                                     Validate validate) {
  return {FromLogProbs{}, total_count, detail::log_of_logits(kName, logits, validate), logits,
          validate};
}

at::Tensor Multinomial::probs() const { return log_probs_.exp().to(type_); }

at::Tensor Multinomial::sample(const Noise& noise, at::IntArrayRef shape) const {
  const at::NoGradGuard no_grad;
  const auto p = log_probs_.detach().exp();
  // Summed from the end, so that the share of the last possible category is exactly 1: after it
  // nothing is left, and 0 / 0 draws nothing.
  const auto share = at::nan_to_num(p / p.flip(-1).cumsum(-1).flip(-1), 0.0);
  auto full = extended_shape(shape);
  full.pop_back();
  auto left = at::full(full, static_cast<double>(total_count_), p.options());
  std::vector<at::Tensor> counts;
  for (int64_t k = 0; k + 1 < p.size(-1); ++k) {
    counts.push_back(noise.site(std::to_string(k))
                         .draw(laws::Binomial::sample, full, {left, share.select(-1, k)}));
    left = left - counts.back();
  }
  counts.push_back(left);
  return at::stack(counts, -1).to(type_);
}

at::Tensor Multinomial::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const auto ok = support().check(x);
  const auto zero = at::zeros({}, log_probs_.options().requires_grad(false));
  const auto counts = detail::or_filler(ok, detail::wide(x), zero, 1);
  const auto terms = counts * at::where(counts > 0, log_probs_, zero);
  const auto log_ways =
      std::lgamma(static_cast<double>(total_count_) + 1) - (counts + 1).lgamma().sum(-1);
  return detail::or_impossible(ok, log_ways + terms.sum(-1)).to(type_);
}

at::Tensor Multinomial::entropy() const {
  const auto n = static_cast<double>(total_count_);
  if (total_count_ == 0) return at::zeros(batch_shape(), log_probs_.options().dtype(type_));
  // Off both ends, where 0 log 0 would have a NaN gradient.
  const auto p = log_probs_.exp().clamp(1e-300, 1 - 1e-16).unsqueeze(-1);
  const auto counts = at::arange(total_count_ + 1, p.options().requires_grad(false));
  // With log x! = x log x - x + s(x) all large terms cancel: -log p(x) is a sum over categories of
  // s(x) and the deviance of x from n p, less s(n). So has the binomial of each its probabilities.
  const auto s = stirling_rest(counts);
  const auto off = deviance(counts, n * p);
  const auto of_others = deviance(n - counts, n * (1 - p));
  const auto probabilities = (s[total_count_] - s - s.flip(0) - off - of_others).exp();
  const auto surprise = (probabilities * (off + s)).sum(-1).sum(-1);
  return (surprise - s[total_count_]).to(type_);
}

at::Tensor Multinomial::mean() const { return static_cast<double>(total_count_) * probs(); }

at::Tensor Multinomial::variance() const {
  const auto p = log_probs_.exp();
  return (static_cast<double>(total_count_) * p * (1 - p)).to(type_);
}

Constraint Multinomial::support() const {
  const auto options = log_probs_.options().requires_grad(false);
  return {Constraint::Kind::kCounts, at::zeros({}, options),
          at::full({}, static_cast<double>(total_count_), options)};
}

DistributionPtr Multinomial::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<Multinomial>(*this);
  out->log_probs_ = detail::expand_batch(log_probs_, batch_shape, 1);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
