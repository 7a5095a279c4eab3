#include "elbo/distributions/one_hot_categorical.h"

#include <ATen/ATen.h>

#include "distributions/detail/vectors.h"

namespace elbo {
namespace {

constexpr const char* kName = "OneHotCategorical";

Categorical from_log_probs(const at::Tensor& log_probs, const at::Tensor& like) {
  auto given = like;
  detail::unify({&given});
  return Categorical::from_logits(log_probs.to(given.scalar_type()));
}

}  // namespace

OneHotCategorical::OneHotCategorical(Categorical categorical)
    : DistributionBase(categorical.batch_shape(), {categorical.num_categories()}),
      categorical_(std::move(categorical)) {}

OneHotCategorical::OneHotCategorical(const at::Tensor& probs, Validate validate)
    : OneHotCategorical(from_log_probs(detail::log_of_probs(kName, probs, validate), probs)) {}

OneHotCategorical OneHotCategorical::from_logits(const at::Tensor& logits, Validate validate) {
  return OneHotCategorical(from_log_probs(detail::log_of_logits(kName, logits, validate), logits));
}

at::Tensor OneHotCategorical::one_hot(const at::Tensor& category) const {
  return at::one_hot(category, num_categories()).to(logits().scalar_type());
}

at::Tensor OneHotCategorical::sample(const Noise& noise, at::IntArrayRef shape) const {
  return one_hot(categorical_.sample(noise, shape));
}

at::Tensor OneHotCategorical::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  return detail::or_impossible(support().check(x), categorical_.log_prob(x.argmax(-1)));
}

at::Tensor OneHotCategorical::variance() const {
  const auto p = probs();
  return p * (1 - p);
}

at::Tensor OneHotCategorical::mode() const { return one_hot(logits().argmax(-1)); }

DistributionPtr OneHotCategorical::expand(at::IntArrayRef batch_shape) const {
  const auto wider = categorical_.expand(batch_shape);
  return std::shared_ptr<OneHotCategorical>(
      new OneHotCategorical(static_cast<const Categorical&>(*wider)));
}

}  // namespace elbo
