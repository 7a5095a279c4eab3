#include "elbo/nn/weight_posterior.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <set>

#include "elbo/distributions/low_rank_multivariate_normal.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/normal.h"

namespace elbo::nn {
namespace {

/// The factor's numbers before it learns, in units of start_scale.
constexpr double kFactorStart = 0.1;

at::Tensor leaf(at::IntArrayRef shape, const at::TensorOptions& type) {
  return at::zeros(shape, type).requires_grad_();
}

int64_t numel(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

}  // namespace

void WeightPosteriorOptions::validate() const {
  if (rank < 1) throw ConfigError(fmt::format("WeightPosterior: rank = {}; expected >= 1", rank));
  if (!(start_scale > 0))
    throw ConfigError(fmt::format("WeightPosterior: start_scale = {}; expected > 0", start_scale));
}

WeightPosterior::WeightPosterior(WeightShapes shapes, WeightPosteriorOptions options,
                                 const at::TensorOptions& type)
    : shapes_(std::move(shapes)), options_(options) {
  options_.validate();
  std::set<std::string> names;
  for (const auto& [name, shape] : shapes_) {
    if (!names.insert(name).second)
      throw ConfigError("WeightPosterior: the name '" + name + "' is used twice");
    if (numel(shape) < 1)
      throw ConfigError(
          fmt::format("WeightPosterior: weight '{}' has shape [{}]; expected sizes "
                      ">= 1",
                      name, fmt::join(shape, ", ")));
    begins_.push_back(size_);
    size_ += numel(shape);
    locs_.push_back(leaf(shape, type));
  }
  if (size_ == 0) throw ConfigError("WeightPosterior: no weights");
  log_var_ = leaf({size_}, type);
  if (options_.family == WeightFamily::kLowRank) {
    const auto start = Noise(0).site("factor").normal({size_, options_.rank}, type);
    factor_ = (kFactorStart * start).requires_grad_();
  }
  if (options_.family == WeightFamily::kCholesky) {
    below_ = leaf({size_ * (size_ - 1) / 2}, type);
    const auto at = at::tril_indices(size_, size_, /*offset=*/-1, type.dtype(at::kLong));
    places_ = at[0] * size_ + at[1];
  }
}

NamedParameters WeightPosterior::parameters() const {
  NamedParameters out;
  for (size_t i = 0; i < locs_.size(); ++i) out.emplace_back(shapes_[i].first + ".loc", locs_[i]);
  out.emplace_back("log_var", log_var_);
  if (factor_.defined()) out.emplace_back("factor", factor_);
  if (below_.defined()) out.emplace_back("below", below_);
  return out;
}

at::Tensor WeightPosterior::loc() const {
  std::vector<at::Tensor> flat;
  for (const auto& loc : locs_) flat.push_back(loc.flatten());
  return at::cat(flat);
}

at::Tensor WeightPosterior::loc(const std::string& name) const { return locs_[index_of(name)]; }

at::Tensor WeightPosterior::log_var() const {
  return log_var_ + 2 * std::log(options_.start_scale);
}

at::Tensor WeightPosterior::factor() const { return factor_ * options_.start_scale; }

at::Tensor WeightPosterior::scale_tril() const {
  const auto square = at::zeros({size_ * size_}, below_.options().requires_grad(false));
  const auto below = square.index_copy(0, places_, below_ * options_.start_scale);
  return below.view({size_, size_}) + at::diag_embed((0.5 * log_var()).exp());
}

DistributionPtr WeightPosterior::law() const {
  switch (options_.family) {
    case WeightFamily::kLowRank:
      return std::make_shared<LowRankMultivariateNormal>(loc(), factor(), log_var().exp(),
                                                         Validate::kNo);
    case WeightFamily::kCholesky:
      return std::make_shared<MultivariateNormal>(loc(), scale_tril(), Validate::kNo);
    case WeightFamily::kMeanField:
      break;
  }
  return Normal::from_log_var(loc(), log_var()).to_event(1).clone();
}

at::Tensor WeightPosterior::variance() const {
  if (options_.family == WeightFamily::kCholesky) return scale_tril().square().sum(-1);
  const auto own = log_var().exp();
  return factor_.defined() ? own + factor().square().sum(-1) : own;
}

at::Tensor WeightPosterior::covariance() const {
  if (options_.family == WeightFamily::kCholesky) {
    const auto root = scale_tril();
    return root.matmul(root.t());
  }
  const auto own = log_var().exp().diag();
  return factor_.defined() ? own + factor().matmul(factor().t()) : own;
}

at::Tensor WeightPosterior::part(const at::Tensor& weights, const std::string& name) const {
  if (weights.size(-1) != size_)
    throw ShapeError(
        fmt::format("WeightPosterior: {} weights; expected {}", weights.size(-1), size_));
  const size_t i = index_of(name);
  const auto& shape = shapes_[i].second;
  auto full = weights.sizes().vec();
  full.pop_back();
  full.insert(full.end(), shape.begin(), shape.end());
  return weights.narrow(-1, begins_[i], numel(shape)).reshape(full);
}

size_t WeightPosterior::index_of(const std::string& name) const {
  for (size_t i = 0; i < shapes_.size(); ++i)
    if (shapes_[i].first == name) return i;
  throw ConfigError("WeightPosterior: no weight '" + name + "'");
}

}  // namespace elbo::nn
