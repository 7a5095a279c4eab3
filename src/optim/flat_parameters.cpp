#include "elbo/optim/flat_parameters.h"

#include <ATen/ATen.h>

#include <set>

#include "elbo/error.h"

namespace elbo {

FlatParameters::FlatParameters(
    const std::vector<std::pair<std::string, NamedParameters>>& segments) {
  std::set<std::string> names;
  int64_t count = 0;
  for (const auto& [segment, parameters] : segments) {
    const int64_t begin = count;
    for (const auto& [name, parameter] : parameters) {
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
  int64_t offset = 0;
  for (auto& [name, parameter] : named_) {
    auto slice = values_.narrow(0, offset, parameter.numel()).view(parameter.sizes());
    slice.copy_(parameter.detach());
    parameter.set_data(slice);
    offset += parameter.numel();
  }
  bind_gradients();
}

const Segment& FlatParameters::segment(const std::string& name) const {
  for (const Segment& s : segments_)
    if (s.name == name) return s;
  throw ConfigError("FlatParameters: no segment '" + name + "'");
}

void FlatParameters::zero_gradients() { gradients_.zero_(); }

void FlatParameters::bind_gradients() {
  int64_t offset = 0;
  for (auto& [name, parameter] : named_) {
    parameter.mutable_grad() =
        gradients_.narrow(0, offset, parameter.numel()).view(parameter.sizes());
    offset += parameter.numel();
  }
}

}  // namespace elbo
