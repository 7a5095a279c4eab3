#include "elbo/distributions/categorical.h"

#include <ATen/ATen.h>

#include <limits>

#include "elbo/kernels/elementwise.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {
/// log p, -inf and without slope where p is 0.
struct LogWeight {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& p) const {
    using namespace math;
    return select(p > 0.0, log(p), -std::numeric_limits<double>::infinity());
  }
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Inverse CDF: the number of cumulative sums that u has passed, the last sum taken as 1 however it
/// was rounded. A category of probability 0 is never reached, for the comparison is strict.
at::Tensor category_at(const at::Tensor& probs, const at::Tensor& u) {
  const auto cumulative = probs.cumsum(-1);
  const auto reached = u.unsqueeze(-1) * cumulative.narrow(-1, -1, 1);
  return (reached > cumulative).sum(-1);
}

/// log of the sum of e^log_probs over the last dimension but where `masked`; -inf of nothing, with
/// slopes 0 and not NaN.
at::Tensor log_sum(const at::Tensor& log_probs, const at::Tensor& masked) {
  constexpr double kNothing = -1e30;
  const auto sum = log_probs.masked_fill(masked, -kInfinity).clamp_min(kNothing).logsumexp(-1);
  return sum.masked_fill(sum < 0.5 * kNothing, -kInfinity);
}

at::Tensor normalised(const at::Tensor& probs) {
  if (probs.dim() < 1) throw ShapeError("Categorical: probs needs a last dimension of categories");
  const auto p = at::isFloatingType(probs.scalar_type()) ? probs : probs.to(at::kFloat);
  return evaluate(formula<LogWeight, 1>(), {p}) - p.sum(-1, /*keepdim=*/true).log();
}
}  // namespace

Categorical::Categorical(FromLogProbs, at::Tensor log_probs)
    : DistributionBase(log_probs.sizes().slice(0, log_probs.dim() - 1).vec(), {}),
      log_probs_(std::move(log_probs)) {}

Categorical::Categorical(const at::Tensor& probs, Validate validate)
    : Categorical(FromLogProbs{}, normalised(probs)) {
  if (validate == Validate::kNo) return;
  detail::check_parameter("Categorical", "probs", ">= 0", probs, probs >= 0);
  const auto sum = probs.sum(-1);
  detail::check_parameter("Categorical", "the sum of probs", "> 0", sum, sum > 0);
}

Categorical Categorical::from_logits(const at::Tensor& logits) {
  if (logits.dim() < 1)
    throw ShapeError("Categorical: logits needs a last dimension of categories");
  return Categorical(FromLogProbs{}, at::log_softmax(logits, -1));
}

at::Tensor Categorical::probs() const { return log_probs_.exp(); }

at::Tensor Categorical::sample(const Noise& noise, at::IntArrayRef shape) const {
  const at::NoGradGuard no_grad;
  const auto u = noise.uniform(extended_shape(shape), log_probs_.options());
  return category_at(probs(), u);
}

at::Tensor Categorical::log_prob(const at::Tensor& x) const {
  const auto shape = detail::broadcast_shape("Categorical: x and batch", x.sizes(), batch_shape());
  const auto index = x.to(at::kLong).clamp(0, num_categories() - 1);
  auto full = shape;
  full.push_back(num_categories());
  const auto found =
      log_probs_.expand(full).gather(-1, index.expand(shape).unsqueeze(-1)).squeeze(-1);
  return found.masked_fill(index != x, -kInfinity);
}

at::Tensor Categorical::cdf(const at::Tensor& x) const {
  return probs().masked_fill(beyond(x), 0).sum(-1);
}
at::Tensor Categorical::log_cdf(const at::Tensor& x) const {
  return log_sum(log_probs_, beyond(x));
}
at::Tensor Categorical::log_survival(const at::Tensor& x) const {
  return log_sum(log_probs_, beyond(x).logical_not());
}

at::Tensor Categorical::icdf(const at::Tensor& u) const {
  return category_at(probs().to(at::kDouble), u);
}

at::Tensor Categorical::beyond(const at::Tensor& x) const {
  return at::arange(num_categories(), log_probs_.options()) > x.unsqueeze(-1);
}

at::Tensor Categorical::entropy() const {
  const auto p = probs();
  return -at::where(p > 0, p * log_probs_, at::zeros({}, p.options())).sum(-1);
}

at::Tensor Categorical::mode() const { return log_probs_.argmax(-1); }
Constraint Categorical::support() const {
  const auto bound = [&](int64_t k) {
    return at::full({}, k, log_probs_.options().dtype(at::kLong));
  };
  return {Constraint::Kind::kIntegerInterval, bound(0), bound(num_categories() - 1)};
}

DistributionPtr Categorical::expand(at::IntArrayRef batch_shape) const {
  auto shape = batch_shape.vec();
  shape.push_back(num_categories());
  return std::shared_ptr<Categorical>(new Categorical(FromLogProbs{}, log_probs_.expand(shape)));
}

}  // namespace elbo
