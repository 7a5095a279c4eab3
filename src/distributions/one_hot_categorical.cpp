#include "elbo/distributions/one_hot_categorical.h"

#include <ATen/ATen.h>

#include <array>
#include <limits>

#include "distributions/detail/vectors.h"
#include "elbo/kernels/eventwise.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

constexpr const char* kName = "OneHotCategorical";

/// The sum of log p where x is 1, of (x, log p).
struct LogDensity {
  static constexpr std::array<int, 2> kEventDims = {1, 1};

  template <class V>
  ELBO_INLINE static auto one_hot(const V* x, int64_t k) {
    V ones = 0.0, zeros = 0.0;
    for (int64_t i = 0; i < k; ++i) {
      ones = ones + math::select(x[i] == 1.0, V(1.0), V(0.0));
      zeros = zeros + math::select(x[i] == 0.0, V(1.0), V(0.0));
    }
    return (ones == 1.0) & (zeros == static_cast<double>(k - 1));
  }
  template <class V>
  ELBO_INLINE static V value(const V* const* in, const int64_t* sizes, V*) {
    V out = 0.0;
    for (int64_t i = 0; i < sizes[0]; ++i)
      out = out + math::select(in[0][i] == 1.0, in[1][i], V(0.0));
    return math::select(one_hot(in[0], sizes[0]), out, V(-std::numeric_limits<double>::infinity()));
  }
  template <class V>
  ELBO_INLINE static void slopes(const V* const* in, const int64_t* sizes, V*, V* const* out) {
    const auto possible = one_hot(in[0], sizes[0]);
    for (int64_t i = 0; i < sizes[0]; ++i) {
      out[0][i] = 0.0;
      out[1][i] = math::select(possible & (in[0][i] == 1.0), V(1.0), V(0.0));
    }
  }
  static at::Tensor twin(const at::Tensor* a) {
    const auto x = detail::wide(a[0]);
    const auto log_prob = detail::wide(a[1]).masked_fill(x.ne(1), 0).sum(-1);
    return detail::or_impossible(Constraint(Constraint::Kind::kOneHot).check(x), log_prob);
  }
};

Categorical of_probs(const at::Tensor& probs, Validate validate) {
  (void)detail::batch_of(kName, "probs", probs, 1);
  if (validate == Validate::kYes) detail::check_probs(kName, probs);
  return Categorical(probs, Validate::kNo);
}

Categorical of_logits(const at::Tensor& logits, Validate validate) {
  (void)detail::batch_of(kName, "logits", logits, 1);
  if (validate == Validate::kYes) detail::check_logits(kName, logits);
  auto given = logits;
  detail::unify({&given});
  return Categorical::from_logits(given);
}

}  // namespace

OneHotCategorical::OneHotCategorical(Categorical categorical)
    : DistributionBase(categorical.batch_shape(), {categorical.num_categories()}),
      categorical_(std::move(categorical)) {}

OneHotCategorical::OneHotCategorical(const at::Tensor& probs, Validate validate)
    : OneHotCategorical(of_probs(probs, validate)) {}

OneHotCategorical OneHotCategorical::from_logits(const at::Tensor& logits, Validate validate) {
  return OneHotCategorical(of_logits(logits, validate));
}

at::Tensor OneHotCategorical::one_hot(const at::Tensor& category) const {
  auto shape = category.sizes().vec();
  shape.push_back(num_categories());
  const auto zeros = at::zeros(shape, logits().options().requires_grad(false));
  return zeros.scatter(-1, category.unsqueeze(-1), 1);
}

at::Tensor OneHotCategorical::sample(const Noise& noise, at::IntArrayRef shape) const {
  return one_hot(categorical_.sample(noise, shape));
}

at::Tensor OneHotCategorical::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const auto& log_probs = logits();
  return evaluate(event_formula<LogDensity>(), {x.detach().to(log_probs.scalar_type()), log_probs})
      .to(log_probs.scalar_type());
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
