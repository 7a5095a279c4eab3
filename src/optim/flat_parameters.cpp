#include "elbo/optim/flat_parameters.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <set>

#include "elbo/error.h"
#include "elbo/kernels/gradient_sink.h"
#include "kernels/detail/product.h"

namespace elbo {

FlatParameters::FlatParameters(
    const std::vector<std::pair<std::string, NamedParameters>>& segments) {
  std::set<std::string> names;
  int64_t count = 0;
  for (const auto& [segment, parameters] : segments) {
    const int64_t begin = count;
    auto ordered = parameters;
    // Matrices before vectors: the weights of two heads, and their biases, then lie side by side.
    std::stable_partition(ordered.begin(), ordered.end(),
                          [](const auto& named) { return named.second.dim() > 1; });
    for (const auto& [name, parameter] : ordered) {
      if (!parameter.is_leaf() || !parameter.requires_grad())
        throw ConfigError("FlatParameters: '" + name + "' is not a leaf that requires a gradient");
      if (!names.insert(name).second)
        throw ConfigError("FlatParameters: the name '" + name + "' is used twice");
      if (!named_.empty() && parameter.scalar_type() != named_.front().second.scalar_type())
        throw ConfigError("FlatParameters: '" + name + "' has another dtype than the first");
      named_.emplace_back(name, parameter);
      count += parameter.numel();
    }
    segments_.push_back({segment, begin, count});
  }
  if (named_.empty()) throw ConfigError("FlatParameters: no parameters to learn");
  const auto options = named_.front().second.options().requires_grad(false);
  values_ = at::empty({count}, options);
  gradients_ = at::zeros({count}, options);
  begins_.push_back(0);
  for (const auto& [name, parameter] : named_)
    begins_.push_back(begins_.back() + parameter.numel());
  const auto places = views_of(values_), gradients = views_of(gradients_);
  for (size_t i = 0; i < named_.size(); ++i) {
    at::Tensor place = places[i].second;
    place.copy_(named_[i].second.detach());
    named_[i].second.set_data(place);
    slices_.push_back(gradients[i].second);
  }
  bind_gradients();
}

const Segment& FlatParameters::segment(const std::string& name) const {
  for (const Segment& s : segments_)
    if (s.name == name) return s;
  throw ConfigError("FlatParameters: no segment '" + name + "'");
}

NamedParameters FlatParameters::views_of(const at::Tensor& buffer,
                                         const std::string& prefix) const {
  NamedParameters out;
  for (size_t i = 0; i < named_.size(); ++i) {
    const auto& [name, parameter] = named_[i];
    out.emplace_back(prefix + name,
                     buffer.narrow(0, begins_[i], parameter.numel()).view(parameter.sizes()));
  }
  return out;
}

void FlatParameters::bind_gradients() {
  for (size_t i = 0; i < named_.size(); ++i) named_[i].second.mutable_grad() = slices_[i];
}

int64_t FlatParameters::version() const {
  int64_t sum = values_._version();
  for (const auto& [name, parameter] : named_) sum += parameter._version();
  return sum;
}

at::Tensor FlatParameters::rounded() {
  if (!detail::has_product(values_)) return {};
  Rounded& kept = *rounded_;
  if (!kept.values.defined()) kept.values = at::empty_like(values_, at::kBFloat16);
  if (kept.version != version()) {
    detail::round_to_bfloat16(values_.data_ptr<float>(),
                              static_cast<uint16_t*>(kept.values.data_ptr()), values_.numel());
    kept.version = version();
  }
  return kept.values;
}

FlatParameters::Writing::Writing(FlatParameters& parameters)
    : parameters_(parameters),
      rounded_(parameters.rounded_->version == parameters.version()
                   ? static_cast<uint16_t*>(parameters.rounded_->values.data_ptr())
                   : nullptr) {}

FlatParameters::Writing::~Writing() {
  parameters_.values_.unsafeGetTensorImpl()->bump_version();
  if (rounded_ != nullptr) parameters_.rounded_->version = parameters_.version();
}

void FlatParameters::backward(const std::vector<at::Tensor>& roots,
                              const std::vector<at::Tensor>& seeds) {
  // Whatever is thrown, parameters keep gradients that are slices.
  struct Rebind {
    FlatParameters& parameters;
    ~Rebind() { parameters.bind_gradients(); }
  } const rebind{*this};
  for (auto& [name, parameter] : named_) parameter.mutable_grad().reset();
  const GradientSink sink(values_, gradients_, begins_);
  torch::autograd::backward(roots, seeds);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < named_.size(); ++i) {
    const auto& apart = named_[i].second.grad();  // by autograd's own way
    if (apart.defined() && sink.written(i))
      slices_[i].add_(apart);
    else if (apart.defined())
      slices_[i].copy_(apart);
    else if (!sink.written(i))
      slices_[i].zero_();
  }
}

}  // namespace elbo
