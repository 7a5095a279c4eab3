#include "elbo/distributions/normal.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "distributions/detail/law_info.h"
#include "elbo/kernels/elementwise.h"
#include "elbo/kernels/likelihood.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

using math::kHalfLogTwoPi;
using math::square;

/// Of (x, loc, scale), or of (x, mu, log sigma^2).
template <bool kOfLogVar>
struct LogDensity {
  static constexpr bool kHot = true;
  template <class T>
  ELBO_INLINE T operator()(const T& x, const T& loc, const T& spread) const {
    using namespace math;
    if constexpr (kOfLogVar)
      return -0.5 * (square(x - loc) * exp(-spread) + spread) - kHalfLogTwoPi;
    else
      return -0.5 * square((x - loc) / spread) - log(spread) - kHalfLogTwoPi;
  }
};

/// The same scalars at every call where the options are usual.
std::pair<at::Tensor, at::Tensor> zero_and_one(const at::TensorOptions& options) {
  const auto make = [](const at::TensorOptions& o) {
    return std::pair(at::zeros({}, o), at::ones({}, o));
  };
  static const auto single = make(at::kFloat), wide = make(at::kDouble);
  if (options.device().is_cpu() && !options.requires_grad()) {
    if (options.dtype() == at::kFloat) return single;
    if (options.dtype() == at::kDouble) return wide;
  }
  return make(options);
}

}  // namespace

Normal::Normal(Parts parts)
    : Normal(parts, detail::broadcast_shape(
                        parts.scale.defined() ? "Normal: loc and scale" : "Normal: mu and log_var",
                        parts.loc.sizes(),
                        parts.scale.defined() ? parts.scale.sizes() : parts.log_var.sizes())) {}

Normal::Normal(Parts parts, std::vector<int64_t> batch_shape)
    : DistributionBase(std::move(batch_shape), {}),
      loc_(std::move(parts.loc)),
      scale_(std::move(parts.scale)),
      log_var_(std::move(parts.log_var)),
      is_standard_(parts.is_standard) {}

Normal::Normal(at::Tensor loc, at::Tensor scale, Validate validate)
    : Normal(Parts{.loc = std::move(loc), .scale = std::move(scale)}) {
  if (validate == Validate::kNo) return;
  detail::check_parameter("Normal", "loc", "finite", loc_, loc_.isfinite());
  detail::check_parameter("Normal", "scale", "> 0", scale_, scale_ > 0);
}

Normal Normal::from_log_var(at::Tensor mu, at::Tensor log_var) {
  return Normal(Parts{.loc = std::move(mu), .log_var = std::move(log_var)});
}

Normal Normal::standard(at::IntArrayRef shape, const at::TensorOptions& options) {
  const auto [zero, one] = zero_and_one(options);
  return Normal(Parts{.loc = zero.expand(shape), .scale = one.expand(shape), .is_standard = true});
}

at::Tensor Normal::scale() const { return scale_.defined() ? scale_ : (0.5 * log_var_).exp(); }

at::Tensor Normal::log_scale() const { return log_var_.defined() ? 0.5 * log_var_ : scale_.log(); }

at::Tensor Normal::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto full = extended_shape(shape);
  const auto options = loc_.options().requires_grad(false);
  if (!log_var_.defined())  // z = mu + sigma * epsilon (AEVB 2.4)
    return at::addcmul(loc_, scale_, noise.normal(full, options));
  return normal_draw(noise.normal(full, options), loc_, log_var_);
}

at::Tensor Normal::broadcast(const at::Tensor& x) const {
  // A number may lie on the CPU whatever the law's device.
  const auto y = x.dim() == 0 ? x.to(loc_.device(), loc_.scalar_type()) : x.to(loc_.scalar_type());
  return detail::expanded(y,
                          detail::broadcast_shape("Normal: x and batch", y.sizes(), batch_shape()));
}

at::Tensor Normal::log_prob(const at::Tensor& x) const {
  const auto y = broadcast(x);
  if (log_var_.defined()) return evaluate(formula<LogDensity<true>, 3>(), {y, loc_, log_var_});
  return evaluate(formula<LogDensity<false>, 3>(), {y, loc_, scale_});
}

at::Tensor Normal::log_prob_sum(const at::Tensor& x, int64_t event_dims) const {
  if (event_dims != 1 || !(log_var_.defined() || is_standard_))
    return DistributionBase::log_prob_sum(x, event_dims);
  const auto y = broadcast(x);
  if (log_var_.defined()) return normal_log_prob_sum(y, loc_, log_var_);
  return standard_normal_log_prob_sum(y);
}

at::Tensor Normal::cdf(const at::Tensor& x) const {
  return math::ndtr((broadcast(x) - loc_) / scale());
}

at::Tensor Normal::log_cdf(const at::Tensor& x) const {
  return math::log_ndtr((broadcast(x) - loc_) / scale());
}

at::Tensor Normal::log_survival(const at::Tensor& x) const {
  return math::log_ndtr((loc_ - broadcast(x)) / scale());
}

at::Tensor Normal::icdf(const at::Tensor& u) const {
  return loc_ + scale() * at::special_ndtri(broadcast(u));
}

at::Tensor Normal::entropy() const {
  return (0.5 + kHalfLogTwoPi + log_scale()).expand(batch_shape());
}
at::Tensor Normal::mean() const { return loc_.expand(batch_shape()); }
at::Tensor Normal::variance() const { return scale().square().expand(batch_shape()); }

at::Tensor Normal::mode() const { return mean(); }
Constraint Normal::support() const { return Constraint::Kind::kReal; }

DistributionPtr Normal::expand(at::IntArrayRef batch_shape) const {
  if (!at::is_expandable_to(this->batch_shape(), batch_shape))
    throw ShapeError(fmt::format("Normal: a batch of shape [{}] does not expand to [{}]",
                                 fmt::join(this->batch_shape(), ", "),
                                 fmt::join(batch_shape, ", ")));
  // What is only repeated along dimensions in front stays as it is: gradients are then summed over
  // them where they are made.
  const auto widened = [&](const at::Tensor& x) {
    if (!x.defined()) return x;
    if (x.dim() == 0) return x.expand(batch_shape);
    auto shape = batch_shape.slice(batch_shape.size() - static_cast<size_t>(x.dim())).vec();
    for (size_t i = 0; i + 1 < shape.size() && x.size(static_cast<int64_t>(i)) == 1; ++i)
      shape[i] = 1;
    return x.expand(shape);
  };
  return std::shared_ptr<Normal>(new Normal({.loc = widened(loc_),
                                             .scale = widened(scale_),
                                             .log_var = widened(log_var_),
                                             .is_standard = is_standard_},
                                            batch_shape.vec()));
}

namespace detail {
LawInfo normal_law() {
  return law_info<Normal, 2>("Normal", {{{"loc", Range::kReal}, {"scale", Range::kPositive}}});
}
}  // namespace detail

}  // namespace elbo
