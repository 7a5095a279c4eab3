#include "elbo/distributions/transformed_distribution.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "distributions/detail/bijection_parts.h"

namespace elbo {
namespace {

using Kind = Constraint::Kind;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

at::Tensor number(double value) { return at::full({}, value, at::kDouble); }

/// The ends of a set of numbers.
std::pair<at::Tensor, at::Tensor> ends(const Constraint& set) {
  switch (set.kind()) {
    case Kind::kReal:
      return {number(-kInfinity), number(kInfinity)};
    case Kind::kPositive:
    case Kind::kNonNegative:
      return {number(0), number(kInfinity)};
    case Kind::kUnitInterval:
      return {number(0), number(1)};
    case Kind::kInterval:
      return {set.lower().detach(), set.upper().detach()};
    case Kind::kAtLeast:
      return {set.lower().detach(), number(kInfinity)};
    default:
      throw UnsupportedError("TransformedDistribution: no ends of the set '" + set.name() + "'");
  }
}

Constraint between(const at::Tensor& lower, const at::Tensor& upper) {
  const auto all = [](const at::Tensor& x, double value) { return x.eq(value).all().item<bool>(); };
  if (all(upper, kInfinity)) {
    if (all(lower, -kInfinity)) return Kind::kReal;
    if (all(lower, 0)) return Kind::kPositive;
    return {Kind::kAtLeast, lower};
  }
  if (all(lower, 0) && all(upper, 1)) return Kind::kUnitInterval;
  return {Kind::kInterval, lower, upper};
}

/// where() of values whose dtypes may differ, and of numbers on the CPU with others elsewhere.
at::Tensor choose(const at::Tensor& condition, const at::Tensor& a, const at::Tensor& b) {
  const auto options = a.is_cpu() ? b.options() : a.options();
  const auto to = options.dtype(at::result_type(a, b)).requires_grad(false);
  return at::where(condition.to(to.device()), a.to(to), b.to(to));
}

at::Tensor all_of_last(const at::Tensor& ok, int64_t dims) {
  return dims == 0 ? ok : ok.flatten(ok.dim() - dims).all(-1);
}

/// `x` where `ok`, which lacks the last `dims` dimensions, else `other`.
at::Tensor keep(const at::Tensor& ok, const at::Tensor& x, const at::Tensor& other, int64_t dims) {
  auto condition = ok;
  for (int64_t i = 0; i < dims; ++i) condition = condition.unsqueeze(-1);
  return at::where(condition, x, other.to(x.scalar_type()));
}

bool some(const at::Tensor& x) { return x.any().item<bool>(); }

}  // namespace

struct TransformedDistribution::Prepared {
  DistributionPtr base;
  std::vector<BijectionPtr> bijections;
  std::vector<int64_t> batch_shape, event_shape;
};

TransformedDistribution::Prepared TransformedDistribution::prepare(
    DistributionPtr base, std::vector<BijectionPtr> bijections) {
  if (base->is_discrete())
    throw ConfigError("TransformedDistribution: " + base->name() +
                      " is discrete; expected a law with a density");
  const auto f = bijections::compose(bijections);
  auto base_shape = base->batch_shape();
  base_shape.insert(base_shape.end(), base->event_shape().begin(), base->event_shape().end());
  const auto base_dims = static_cast<int64_t>(base->event_shape().size());
  auto shape = f->forward_shape(base_shape);
  const auto needed = f->inverse_shape(shape);
  if (needed != base_shape)  // the bijections' parameters have a batch of their own
    base = base->expand({needed.data(), needed.size() - static_cast<size_t>(base_dims)});
  const int64_t promoted = f->event_dims_in() - base_dims;
  if (promoted > 0) base = std::make_shared<Independent>(base, promoted);
  const auto event_dims = f->event_dims_out() + std::max<int64_t>(-promoted, 0);
  const auto cut = shape.end() - event_dims;
  return {std::move(base), std::move(bijections), {shape.begin(), cut}, {cut, shape.end()}};
}

TransformedDistribution::TransformedDistribution(Prepared prepared)
    : DistributionBase(std::move(prepared.batch_shape), std::move(prepared.event_shape)),
      base_(std::move(prepared.base)),
      bijections_(std::move(prepared.bijections)) {}

TransformedDistribution::TransformedDistribution(DistributionPtr base,
                                                 std::vector<BijectionPtr> bijections)
    : TransformedDistribution(prepare(std::move(base), std::move(bijections))) {}

std::string TransformedDistribution::name() const {
  std::vector<std::string> names = {base_->name()};
  for (const auto& bijection : bijections_) names.push_back(bijection->name());
  return fmt::format("TransformedDistribution({})", fmt::join(names, ", "));
}

at::Tensor TransformedDistribution::sample(const Noise& noise, at::IntArrayRef shape) const {
  const at::NoGradGuard no_grad;
  auto x = base_->sample(noise, shape);
  for (const auto& bijection : bijections_) x = bijection->forward(x);
  return x;
}

at::Tensor TransformedDistribution::rsample(const Noise& noise, at::IntArrayRef shape) const {
  auto x = base_->rsample(noise, shape);
  for (const auto& bijection : bijections_) x = bijection->forward(x);
  return x;
}

std::vector<at::Tensor> TransformedDistribution::stages() const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> out = {base_->sample(Noise(0))};
  for (const auto& bijection : bijections_) out.push_back(bijection->forward(out.back()));
  return out;
}

at::Tensor TransformedDistribution::expanded(const at::Tensor& x) const {
  const auto& event = event_shape();
  if (x.dim() < static_cast<int64_t>(event.size()) ||
      x.sizes().slice(static_cast<size_t>(x.dim()) - event.size()) != at::IntArrayRef(event))
    throw ShapeError(fmt::format("{}: x of shape [{}]; expected events of shape [{}]", name(),
                                 fmt::join(x.sizes(), ", "), fmt::join(event, ", ")));
  return x.expand(detail::broadcast_shape(name() + ": x and batch", x.sizes(), extended_shape({})));
}

at::Tensor TransformedDistribution::log_prob(const at::Tensor& x) const {
  auto y = expanded(x);
  const auto event_dims = static_cast<int64_t>(event_shape().size());
  const auto is_nan = all_of_last(y.isnan().logical_not(), event_dims).logical_not();
  auto dims = event_dims;
  at::Tensor total, ok;
  std::vector<at::Tensor> inner;  // made when some x is outside: gradients are taken there
  const auto replace = [&](const at::Tensor& good, size_t i) {
    if (inner.empty()) inner = stages();
    y = keep(good, y, inner[i + 1], dims);
    ok = ok.defined() ? ok.logical_and(good) : good;
  };
  for (size_t i = bijections_.size(); i-- > 0;) {
    const Bijection& f = *bijections_[i];
    const auto codomain = f.codomain();
    auto good = all_of_last(codomain.check(y), dims - codomain.event_dims());
    if (some(good.logical_not())) replace(good, i);
    auto u = f.inverse(y);
    const auto dims_in = dims + f.event_dims_in() - f.event_dims_out();
    good = all_of_last(u.isfinite(), dims_in);
    if (some(good.logical_not())) {  // the boundary
      replace(good, i);
      u = f.inverse(y);
    }
    const auto term = detail::sum_last(f.log_abs_det_jacobian(u, y), dims - f.event_dims_out());
    total = total.defined() ? total + term : term;
    y = u;
    dims = dims_in;
  }
  auto out = base_->log_prob(y);
  if (total.defined()) out = out - total;
  if (!ok.defined()) return out;
  const auto outside = at::full({}, -kInfinity, out.options().requires_grad(false));
  return at::where(ok, out, outside.masked_fill(is_nan, std::numeric_limits<double>::quiet_NaN()));
}

void TransformedDistribution::expect_line(const char* method) const {
  if (!base_->event_shape().empty() || !event_shape().empty()) unsupported(method);
}

TransformedDistribution::Located TransformedDistribution::locate(const at::Tensor& x) const {
  Located out;
  auto y = expanded(x);
  {
    const at::NoGradGuard no_grad;
    auto at_stage = y;
    out.below = out.above = at::zeros(y.sizes(), y.options().dtype(at::kBool).requires_grad(false));
    auto flipped = out.below;
    for (auto f = bijections_.rbegin(); f != bijections_.rend(); ++f) {
      const auto [lower, upper] = ends((*f)->codomain());
      const auto under = at_stage <= lower, over = at_stage >= upper;
      out.below = out.below.logical_or(at::where(flipped, over, under));
      out.above = out.above.logical_or(at::where(flipped, under, over));
      const auto decreasing = (*f)->decreasing();
      if (decreasing.defined()) flipped = flipped.logical_xor(decreasing);
      at_stage = (*f)->inverse(at_stage);
    }
  }
  const auto outside = out.below.logical_or(out.above);
  if (some(outside)) y = keep(outside.logical_not(), y, stages().back(), 0);
  for (auto f = bijections_.rbegin(); f != bijections_.rend(); ++f) y = (*f)->inverse(y);
  out.u = y;
  return out;
}

at::Tensor TransformedDistribution::of_base(const at::Tensor& x, Method method, Method mirrored,
                                            double at_bottom, double at_top) const {
  const auto at = locate(x);
  const auto decreasing = bijections::compose(bijections_)->decreasing();
  at::Tensor out;
  if (!decreasing.defined() || !some(decreasing))
    out = ((*base_).*method)(at.u);
  else if (decreasing.all().item<bool>())
    out = ((*base_).*mirrored)(at.u);
  else
    out = at::where(decreasing, ((*base_).*mirrored)(at.u), ((*base_).*method)(at.u));
  return out.masked_fill(at.below, at_bottom).masked_fill(at.above, at_top);
}

at::Tensor TransformedDistribution::cdf(const at::Tensor& x) const {
  expect_line("cdf");
  const auto decreasing = bijections::compose(bijections_)->decreasing();
  if (decreasing.defined() && some(decreasing)) return log_cdf(x).exp();
  return of_base(x, &Distribution::cdf, &Distribution::cdf, 0, 1);
}

at::Tensor TransformedDistribution::log_cdf(const at::Tensor& x) const {
  expect_line("log_cdf");
  return of_base(x, &Distribution::log_cdf, &Distribution::log_survival, -kInfinity, 0);
}

at::Tensor TransformedDistribution::log_survival(const at::Tensor& x) const {
  expect_line("log_survival");
  return of_base(x, &Distribution::log_survival, &Distribution::log_cdf, 0, -kInfinity);
}

at::Tensor TransformedDistribution::icdf(const at::Tensor& u) const {
  expect_line("icdf");
  const auto decreasing = bijections::compose(bijections_)->decreasing();
  auto x = base_->icdf(decreasing.defined() ? at::where(decreasing, 1 - u, u) : u);
  for (const auto& f : bijections_) x = f->forward(x);
  return x;
}

Constraint TransformedDistribution::support() const {
  if (bijections_.empty()) return base_->support();
  if (!base_->event_shape().empty() || !event_shape().empty())
    return bijections::compose(bijections_)->codomain();
  const at::NoGradGuard no_grad;
  auto [lower, upper] = ends(base_->support());
  for (const auto& f : bijections_) {
    const auto [domain_lower, domain_upper] = ends(f->domain());
    const auto [image_lower, image_upper] = ends(f->codomain());
    auto decreasing = f->decreasing();
    if (!decreasing.defined()) decreasing = at::zeros({}, at::kBool);
    // An end of the domain goes to an end of the codomain, where forward() would round.
    const auto of_lower = choose(lower <= domain_lower,
                                 choose(decreasing, image_upper, image_lower), f->forward(lower));
    const auto of_upper = choose(upper >= domain_upper,
                                 choose(decreasing, image_lower, image_upper), f->forward(upper));
    lower = choose(decreasing, of_upper, of_lower);
    upper = choose(decreasing, of_lower, of_upper);
  }
  return between(lower, upper);
}

DistributionPtr TransformedDistribution::expand(at::IntArrayRef batch_shape) const {
  auto shape = batch_shape.vec();
  shape.insert(shape.end(), event_shape().begin(), event_shape().end());
  const auto base_shape = bijections::compose(bijections_)->inverse_shape(shape);
  const auto batch_dims = base_shape.size() - base_->event_shape().size();
  return std::make_shared<TransformedDistribution>(base_->expand({base_shape.data(), batch_dims}),
                                                   bijections_);
}

}  // namespace elbo
