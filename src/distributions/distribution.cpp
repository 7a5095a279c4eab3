#include "elbo/distributions/distribution.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace elbo {

Distribution::Distribution(std::vector<int64_t> batch_shape, std::vector<int64_t> event_shape)
    : batch_shape_(std::move(batch_shape)), event_shape_(std::move(event_shape)) {}

std::vector<int64_t> Distribution::extended_shape(at::IntArrayRef sample_shape) const {
  std::vector<int64_t> shape(sample_shape.begin(), sample_shape.end());
  shape.insert(shape.end(), batch_shape_.begin(), batch_shape_.end());
  shape.insert(shape.end(), event_shape_.begin(), event_shape_.end());
  return shape;
}

void Distribution::unsupported(const char* method) const {
  throw UnsupportedError(name() + ": no " + method + " in closed form");
}

at::Tensor Distribution::sample(const Noise& noise, at::IntArrayRef shape) const {
  const at::NoGradGuard no_grad;
  return rsample(noise, shape);
}
at::Tensor Distribution::rsample(const Noise&, at::IntArrayRef) const { unsupported("rsample"); }
at::Tensor Distribution::log_prob_sum(const at::Tensor& x, int64_t event_dims) const {
  return detail::sum_last(log_prob(x), event_dims);
}
at::Tensor Distribution::cdf(const at::Tensor&) const { unsupported("cdf"); }
at::Tensor Distribution::log_cdf(const at::Tensor& x) const { return cdf(x).log(); }
at::Tensor Distribution::log_survival(const at::Tensor& x) const { return (-cdf(x)).log1p(); }
at::Tensor Distribution::mode() const { unsupported("mode"); }
Constraint Distribution::support() const { unsupported("support"); }
at::Tensor Distribution::icdf(const at::Tensor&) const { unsupported("icdf"); }
at::Tensor Distribution::entropy() const { unsupported("entropy"); }
at::Tensor Distribution::mean() const { unsupported("mean"); }
at::Tensor Distribution::variance() const { unsupported("variance"); }

namespace {
std::vector<int64_t> head(const std::vector<int64_t>& shape, int64_t drop) {
  return {shape.begin(), shape.end() - drop};
}
std::vector<int64_t> independent_event(const Distribution& base, int64_t event_dims) {
  std::vector<int64_t> event(base.batch_shape().end() - event_dims, base.batch_shape().end());
  event.insert(event.end(), base.event_shape().begin(), base.event_shape().end());
  return event;
}
const Distribution& checked(const DistributionPtr& base, int64_t event_dims) {
  const auto batch_dims = static_cast<int64_t>(base->batch_shape().size());
  if (event_dims < 0 || event_dims > batch_dims)
    throw ShapeError(fmt::format("Independent: event_dims = {}; {} has batch shape [{}]",
                                 event_dims, base->name(), fmt::join(base->batch_shape(), ", ")));
  return *base;
}
}  // namespace

Independent::Independent(DistributionPtr base, int64_t event_dims)
    : Distribution(head(checked(base, event_dims).batch_shape(), event_dims),
                   independent_event(checked(base, event_dims), event_dims)),
      base_(std::move(base)),
      event_dims_(event_dims) {}

std::string Independent::name() const { return "Independent(" + base_->name() + ")"; }

at::Tensor Independent::sum_event(const at::Tensor& x) const {
  return detail::sum_last(x, event_dims_);
}

at::Tensor Independent::sample(const Noise& noise, at::IntArrayRef shape) const {
  return base_->sample(noise, shape);
}
at::Tensor Independent::rsample(const Noise& noise, at::IntArrayRef shape) const {
  return base_->rsample(noise, shape);
}
at::Tensor Independent::log_prob(const at::Tensor& x) const {
  return base_->log_prob_sum(x, event_dims_);
}
at::Tensor Independent::entropy() const { return sum_event(base_->entropy()); }
at::Tensor Independent::mean() const { return base_->mean(); }
at::Tensor Independent::variance() const { return base_->variance(); }

at::Tensor Independent::mode() const { return base_->mode(); }
Constraint Independent::support() const { return base_->support(); }

DistributionPtr Independent::expand(at::IntArrayRef batch_shape) const {
  std::vector<int64_t> base_shape(batch_shape.begin(), batch_shape.end());
  base_shape.insert(base_shape.end(), base_->batch_shape().end() - event_dims_,
                    base_->batch_shape().end());
  return std::make_shared<Independent>(base_->expand(base_shape), event_dims_);
}
DistributionPtr Independent::clone() const { return std::make_shared<Independent>(*this); }

namespace detail {

std::vector<int64_t> broadcast_shape(std::string_view what, at::IntArrayRef a, at::IntArrayRef b) {
  std::vector<int64_t> shape(std::max(a.size(), b.size()));
  for (size_t i = 0; i < shape.size(); ++i) {  // from the right
    const int64_t m = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t n = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (m != n && m != 1 && n != 1)
      throw ShapeError(fmt::format("{}: shapes [{}] and [{}] do not broadcast", what,
                                   fmt::join(a, ", "), fmt::join(b, ", ")));
    shape[shape.size() - 1 - i] = m == 1 ? n : m;
  }
  return shape;
}

at::Tensor expanded(const at::Tensor& x, at::IntArrayRef shape) {
  return x.sizes() == shape ? x : x.expand(shape);
}

at::Tensor sum_last(const at::Tensor& x, int64_t dims) {
  return dims == 0 ? x : x.flatten(x.dim() - dims).sum(-1);
}

namespace {
thread_local bool validates = true;

/// The index of the first element that is false.
std::vector<int64_t> first_false(const at::Tensor& ok) {
  const auto first = ok.logical_not().nonzero()[0].contiguous();  // nonzero gives columns
  return {first.data_ptr<int64_t>(), first.data_ptr<int64_t>() + first.numel()};
}
std::string place(const std::vector<int64_t>& index) {
  return index.empty() ? "" : fmt::format(" at [{}]", fmt::join(index, ", "));
}
}  // namespace

void check_together(const std::string& law, const char* requirement, const at::Tensor& ok) {
  if (!validates || ok.all().item<bool>()) return;
  throw DomainError(
      fmt::format("{}: expected {}{}", law, requirement, place(first_false(ok.to(at::kCPU)))));
}

void check_parameter(const std::string& law, const char* parameter, const char* expected,
                     const at::Tensor& value, const at::Tensor& ok) {
  if (!validates || ok.all().item<bool>()) return;
  const auto index = first_false(ok.to(at::kCPU));
  auto cell = value.detach();
  for (const int64_t i : index) cell = cell.select(0, i);
  throw DomainError(fmt::format("{}: {} must be {}, got {}{}", law, parameter, expected,
                                cell.item<double>(), place(index)));
}

}  // namespace detail

WithoutValidation::WithoutValidation() : before_(detail::validates) { detail::validates = false; }
WithoutValidation::~WithoutValidation() { detail::validates = before_; }

}  // namespace elbo
