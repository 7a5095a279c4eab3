#include "elbo/distributions/relaxed_one_hot_categorical.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <limits>

#include "distributions/detail/vectors.h"
#include "elbo/kernels/elementwise.h"
#include "elbo/kernels/eventwise.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

using math::exp;
using math::log;
using math::maximum;
using math::select;

constexpr const char* kName = "RelaxedOneHotCategorical";

/// Of y = log x, from log weights, all in float64.
at::Tensor density_of_log(const at::Tensor& y, const at::Tensor& log_weights,
                          const at::Tensor& temperature) {
  const auto k = static_cast<double>(log_weights.size(-1));
  const auto scores = log_weights - temperature.unsqueeze(-1) * y;
  return at::log_softmax(scores, -1).sum(-1) + (k - 1) * temperature.log() + std::lgamma(k);
}

/// (log weight + g) / temperature, g = -log(-log u) standard Gumbel. Weights, here and below, need
/// not be normalised.
template <bool kOfLogits>
struct Score {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& u, const T& given, const T& temperature) const {
    if constexpr (kOfLogits)
      return (given - log(-log(u))) / temperature;
    else
      return log(given / -log(u)) / temperature;
  }
};

/// A score, which moves as (log weight + g) / temperature does.
template <bool kOfLogits>
struct ImplicitScore {
  static constexpr bool kHot = true;
  static constexpr bool kIsFirst = true;
  template <class T>
  ELBO_INLINE T operator()(const T& score, const T& given, const T& temperature) const {
    using namespace math;
    // given / constant(given) is 1 and moves as log given does
    const T weight = kOfLogits ? given : given / constant(given);
    const T noise = constant(score * temperature - weight);
    return with_slope(score, (weight + noise) / temperature);
  }
};

/// The log density less log Gamma(K), of (x, given, temperature).
template <bool kOfLogits>
struct LogDensity {
  static constexpr std::array<int, 3> kEventDims = {1, 1, 0};

  /// y = log x and p, which is weight x^-temperature but for a common factor: e^largest times the
  /// total of p is their sum. Whether x is possible.
  template <class V>
  ELBO_INLINE static auto terms(const V* const* in, int64_t k, V* y, V* p, V* largest, V* total) {
    const V *x = in[0], *given = in[1], temperature = in[2][0];
    V sum = 0.0, least = x[0], most = -std::numeric_limits<double>::infinity();
    for (int64_t i = 0; i < k; ++i) {
      sum = sum + x[i];
      least = math::minimum(least, x[i]);
      y[i] = log(x[i]);
      p[i] = kOfLogits ? given[i] - temperature * y[i] : -temperature * y[i];
      most = maximum(most, p[i]);
    }
    V all = 0.0;
    for (int64_t i = 0; i < k; ++i) {
      p[i] = kOfLogits ? exp(p[i] - most) : given[i] * exp(p[i] - most);
      all = all + p[i];
    }
    *largest = most;
    *total = all;
    return (least > 0.0) & (math::abs(sum - 1.0) <= 1e-5);
  }
  template <class V>
  ELBO_INLINE static V value(const V* const* in, const int64_t* sizes, V* room) {
    const int64_t k = sizes[0];
    const auto count = static_cast<double>(k);
    V *y = room, *p = room + k, largest, total;
    const auto possible = terms(in, k, y, p, &largest, &total);
    const V temperature = in[2][0];
    V out = (count - 1.0) * log(temperature) - count * (largest + log(total));
    for (int64_t i = 0; i < k; ++i) {
      const V log_weight = kOfLogits ? in[1][i] : log(in[1][i]);
      out = out + log_weight - (temperature + 1.0) * y[i];
    }
    return select(possible, out, V(-std::numeric_limits<double>::infinity()));
  }
  template <class V>
  ELBO_INLINE static void slopes(const V* const* in, const int64_t* sizes, V* room, V* const* out) {
    const int64_t k = sizes[0];
    const auto count = static_cast<double>(k);
    V *y = room, *p = room + k, largest, total;
    const auto possible = terms(in, k, y, p, &largest, &total);
    const V temperature = in[2][0], share = count / total;
    V along_temperature = (count - 1.0) / temperature;
    for (int64_t i = 0; i < k; ++i) {
      const V along_score = 1.0 - share * p[i];
      const V along_x = -(temperature * along_score + 1.0) / in[0][i];
      const V along_given = kOfLogits ? along_score : along_score / in[1][i];
      out[0][i] = select(possible, along_x, V(0.0));
      out[1][i] = select(possible, along_given, V(0.0));
      along_temperature = along_temperature - along_score * y[i];
    }
    out[2][0] = select(possible, along_temperature, V(0.0));
  }
  static at::Tensor twin(const at::Tensor* a) {
    const auto x = detail::wide(a[0]);
    const auto given = detail::wide(a[1]);
    const auto ok = detail::on_simplex(x).logical_and((x > 0).all(-1));
    const auto safe = detail::or_filler(ok, x, at::ones({}, x.options().requires_grad(false)), 1);
    const auto y = safe.log();
    const auto density =
        density_of_log(y, kOfLogits ? given : given.log(), detail::wide(a[2])) - y.sum(-1);
    return detail::or_impossible(ok, density - std::lgamma(static_cast<double>(x.size(-1))));
  }
};

}  // namespace

RelaxedOneHotCategorical::RelaxedOneHotCategorical(FromLogits, at::Tensor temperature,
                                                   at::Tensor logits, Validate validate)
    : RelaxedOneHotCategorical(std::move(temperature), logits, Validate::kNo) {
  of_logits_ = true;
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "temperature", "> 0", temperature_, temperature_ > 0);
  detail::check_parameter(kName, "logits", "finite", given_, given_.isfinite());
}

RelaxedOneHotCategorical::RelaxedOneHotCategorical(at::Tensor temperature, const at::Tensor& probs,
                                                   Validate validate)
    : DistributionBase(detail::broadcast_shape(kName, temperature.sizes(),
                                               detail::batch_of(kName, "probs", probs, 1)),
                       detail::event_of(kName, "probs", probs, 1)),
      temperature_(std::move(temperature)),
      given_(probs) {
  detail::unify({&temperature_, &given_});
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "temperature", "> 0", temperature_, temperature_ > 0);
  detail::check_parameter(kName, "probs", "> 0", probs, probs > 0);
}

RelaxedOneHotCategorical RelaxedOneHotCategorical::from_logits(at::Tensor temperature,
                                                               const at::Tensor& logits,
                                                               Validate validate) {
  return {FromLogits{}, std::move(temperature), logits, validate};
}

at::Tensor RelaxedOneHotCategorical::log_probs() const {
  return of_logits_ ? detail::log_of_logits(kName, given_, Validate::kNo)
                    : detail::log_of_probs(kName, given_, Validate::kNo);
}

at::Tensor RelaxedOneHotCategorical::logits() const { return log_probs().to(given_.scalar_type()); }

at::Tensor RelaxedOneHotCategorical::probs() const {
  return log_probs().exp().to(given_.scalar_type());
}

at::Tensor RelaxedOneHotCategorical::rsample_log(const Noise& noise, at::IntArrayRef shape) const {
  const auto log_weights = log_probs();
  const auto u = noise.uniform(extended_shape(shape), log_weights.options().requires_grad(false));
  const auto gumbel = -(-u.log()).log();
  return at::log_softmax((log_weights + gumbel) / detail::wide(temperature_).unsqueeze(-1), -1)
      .to(given_.scalar_type());
}

at::Tensor RelaxedOneHotCategorical::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto temperature = temperature_.unsqueeze(-1);
  at::Tensor drawn;
  {
    const at::NoGradGuard no_grad;
    drawn =
        noise.draw(of_logits_ ? formula<Score<true>, 3, true>() : formula<Score<false>, 3, true>(),
                   Noise::Numbers::kUniform, extended_shape(shape), {given_, temperature});
  }
  const auto scores =
      evaluate(of_logits_ ? formula<ImplicitScore<true>, 3>() : formula<ImplicitScore<false>, 3>(),
               {drawn, given_, temperature});
  return detail::positive(at::softmax(scores, -1), given_.scalar_type());
}

at::Tensor RelaxedOneHotCategorical::log_prob_of_log(const at::Tensor& y) const {
  detail::check_event(kName, y, event_shape());
  return density_of_log(detail::wide(y), log_probs(), detail::wide(temperature_))
      .to(given_.scalar_type());
}

at::Tensor RelaxedOneHotCategorical::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  const auto density =
      evaluate(of_logits_ ? event_formula<LogDensity<true>>() : event_formula<LogDensity<false>>(),
               {x.to(given_.scalar_type()), given_, temperature_});
  return (density + std::lgamma(static_cast<double>(given_.size(-1)))).to(given_.scalar_type());
}

DistributionPtr RelaxedOneHotCategorical::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<RelaxedOneHotCategorical>(*this);
  out->temperature_ = temperature_.expand(batch_shape);
  out->given_ = detail::expand_batch(given_, batch_shape, 1);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
