#include "elbo/distributions/multivariate_normal.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "distributions/detail/vectors.h"
#include "elbo/kernels/gaussian_rows.h"

namespace elbo {
namespace {
constexpr const char* kName = "MultivariateNormal";
constexpr double kHalfLogTwoPi = 0.91893853320467274178;

/// Batch dimensions that only repeat, reduced to size 1, and as many in front as make `dims`.
at::Tensor unrepeated(at::Tensor x, int64_t event_dims, int64_t dims) {
  for (int64_t i = 0; i + event_dims < x.dim(); ++i)
    if (x.stride(i) == 0 && x.size(i) > 1) x = x.narrow(i, 0, 1);
  while (x.dim() - event_dims < dims) x = x.unsqueeze(0);
  return x;
}

/// Where K laws meet M rows, as components do, and no gradient is asked for: the densities by
/// blocks of rows. Undefined for batches of another form.
at::Tensor densities_of_rows(const at::Tensor& given, const at::Tensor& loc,
                             const at::Tensor& scale_tril, at::IntArrayRef batch) {
  constexpr int64_t kFewRows = 8;
  const bool differentiable =
      at::GradMode::is_enabled() &&
      (given.requires_grad() || loc.requires_grad() || scale_tril.requires_grad());
  if (differentiable || !given.is_cpu() || !loc.is_cpu()) return {};
  const auto shape = detail::broadcast_shape(
      kName, given.sizes().slice(0, static_cast<size_t>(given.dim() - 1)), batch);
  const auto dims = static_cast<int64_t>(shape.size());
  const auto x = unrepeated(given, 1, dims), means = unrepeated(loc, 1, dims),
             roots = unrepeated(scale_tril, 2, dims);
  std::vector<int64_t> of_laws, result(static_cast<size_t>(dims));
  int64_t laws = 1, rows = 1;
  for (int64_t i = 0; i < dims; ++i) {
    const int64_t k = std::max(means.size(i), roots.size(i)), m = x.size(i);
    if (k > 1 && (m > 1 || rows > 1)) return {};  // laws in front, rows behind
    laws *= k;
    rows *= m;
    of_laws.push_back(k);
    result[static_cast<size_t>(i)] = std::max(k, m);
  }
  if (rows < kFewRows) return {};
  const int64_t d = loc.size(-1);
  const auto each = [&](const at::Tensor& parameter, int64_t event_dims) {
    auto full = of_laws;
    full.insert(full.end(), static_cast<size_t>(event_dims), d);
    return detail::wide(parameter).expand(full).flatten(0, dims - 1);
  };
  const auto found =
      gaussian_log_densities(detail::wide(x).reshape({rows, d}), each(means, 1), each(roots, 2));
  return found.view(result).expand(shape).to(loc.scalar_type());
}
}  // namespace

MultivariateNormal::MultivariateNormal(at::Tensor loc, at::Tensor scale_tril, Validate validate)
    : DistributionBase({}, detail::event_of(kName, "loc", loc, 1)),
      loc_(std::move(loc)),
      scale_tril_(std::move(scale_tril)) {
  detail::unify({&loc_, &scale_tril_});
  detail::check_square(kName, "scale_tril", scale_tril_, loc_.size(-1));
  set_batch_shape(detail::broadcast_shape(kName, detail::batch_of(kName, "loc", loc_, 1),
                                          detail::batch_of(kName, "scale_tril", scale_tril_, 2)));
  if (validate == Validate::kNo) return;
  detail::check_parameter(kName, "loc", "finite", loc_, loc_.isfinite());
  detail::check_scale_tril(kName, scale_tril_);
}

MultivariateNormal MultivariateNormal::from_covariance(const at::Tensor& loc,
                                                       const at::Tensor& covariance_matrix,
                                                       Validate validate) {
  const auto factor = detail::cholesky(kName, "covariance_matrix", covariance_matrix, validate);
  return {loc, factor.to(covariance_matrix.scalar_type()), validate};
}

MultivariateNormal MultivariateNormal::from_precision(const at::Tensor& loc,
                                                      const at::Tensor& precision_matrix,
                                                      Validate validate) {
  const auto factor =
      detail::cholesky_of_inverse(kName, "precision_matrix", precision_matrix, validate);
  return {loc, factor.to(precision_matrix.scalar_type()), validate};
}

at::Tensor MultivariateNormal::covariance_matrix() const {
  return detail::expand_batch(scale_tril_.matmul(scale_tril_.transpose(-2, -1)), batch_shape(), 2);
}

at::Tensor MultivariateNormal::precision_matrix() const {
  const auto inverse = detail::inverse_of_product(detail::wide(scale_tril_));
  return detail::expand_batch(inverse.to(loc_.scalar_type()), batch_shape(), 2);
}

at::Tensor MultivariateNormal::rsample(const Noise& noise, at::IntArrayRef shape) const {
  const auto epsilon = noise.normal(extended_shape(shape), loc_.options().requires_grad(false));
  return loc_ + detail::times(scale_tril_, epsilon);
}

at::Tensor MultivariateNormal::log_prob(const at::Tensor& x) const {
  detail::check_event(kName, x, event_shape());
  if (const auto found = densities_of_rows(x, loc_, scale_tril_, batch_shape()); found.defined())
    return found;
  const auto distance = detail::squared_distance(x, loc_, scale_tril_);
  const auto normaliser = detail::log_det(detail::wide(scale_tril_)) +
                          kHalfLogTwoPi * static_cast<double>(loc_.size(-1));
  return (-0.5 * distance - normaliser).to(loc_.scalar_type());
}

at::Tensor MultivariateNormal::entropy() const {
  const auto of_standard = (0.5 + kHalfLogTwoPi) * static_cast<double>(loc_.size(-1));
  return (of_standard + detail::log_det(detail::wide(scale_tril_)))
      .to(loc_.scalar_type())
      .expand(batch_shape());
}

at::Tensor MultivariateNormal::mean() const { return detail::expand_batch(loc_, batch_shape(), 1); }

at::Tensor MultivariateNormal::variance() const {
  return detail::expand_batch(scale_tril_.square().sum(-1), batch_shape(), 1);
}

DistributionPtr MultivariateNormal::expand(at::IntArrayRef batch_shape) const {
  auto out = std::make_shared<MultivariateNormal>(*this);
  out->loc_ = detail::expand_batch(loc_, batch_shape, 1);
  out->scale_tril_ = detail::expand_batch(scale_tril_, batch_shape, 2);
  out->set_batch_shape(batch_shape.vec());
  return out;
}

}  // namespace elbo
