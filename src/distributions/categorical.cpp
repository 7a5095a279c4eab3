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
  // Inverse CDF: the number of cumulative sums (all but the last) that u has passed. A category
  // of probability 0 is never reached, for the comparison is strict.
  const auto cumulative = probs().cumsum(-1).narrow(-1, 0, num_categories() - 1);
  return (u.unsqueeze(-1) > cumulative).sum(-1);
}

at::Tensor Categorical::log_prob(const at::Tensor& x) const {
  const auto index = x.to(at::kLong);
  const auto shape = detail::broadcast_shape("Categorical", index.sizes(), batch_shape());
  auto full = shape;
  full.push_back(num_categories());
  return log_probs_.expand(full).gather(-1, index.expand(shape).unsqueeze(-1)).squeeze(-1);
}

at::Tensor Categorical::cdf(const at::Tensor& x) const {
  const auto categories = at::arange(num_categories(), log_probs_.options());
  const auto passed = categories <= x.unsqueeze(-1);
  return at::where(passed, probs(), at::zeros({}, log_probs_.options())).sum(-1);
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
