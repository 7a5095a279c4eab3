#include <ATen/ATen.h>

#include <cmath>

#include "distributions/detail/mle.h"
#include "elbo/distributions/log_normal.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/normal.h"
#include "elbo/kernels/gaussian_rows.h"

namespace elbo::detail {
namespace {

using Tensors = std::vector<at::Tensor>;

/// Statistics [K, 1 + d + S]: the weight, the means, and the sums of squares (S = d) or of products
/// (S = d^2) of what is left.
class GaussianMle : public WeightedMle {
 public:
  GaussianMle(const std::string& law, const WeightedMleOptions& options)
      : WeightedMle(law, options) {}

  [[nodiscard]] at::Tensor merge(const at::Tensor& a, const at::Tensor& b) const override {
    const auto wa = weight(a), wb = weight(b), total = wa + wb;
    const auto share = wb / total.clamp_min(kNoWeight);
    const auto apart = mean(b) - mean(a);
    return at::cat(
        {total, mean(a) + share * apart, squares(a) + squares(b) + outer(apart, wa * share)}, 1);
  }
  [[nodiscard]] at::Tensor scale(const at::Tensor& s, double factor) const override {
    return at::cat({weight(s) * factor, mean(s), squares(s) * factor}, 1);
  }

 protected:
  [[nodiscard]] int64_t dim() const { return numel(options().event_shape); }
  [[nodiscard]] static at::Tensor weight(const at::Tensor& s) { return columns(s, 0, 1); }
  [[nodiscard]] at::Tensor mean(const at::Tensor& s) const { return columns(s, 1, dim()); }
  [[nodiscard]] at::Tensor squares(const at::Tensor& s) const {
    return columns(s, 1 + dim(), s.size(1) - 1 - dim());
  }
  /// The mean squares, of all components together where they share them.
  [[nodiscard]] at::Tensor mean_squares(const at::Tensor& s) const {
    if (options().shared_scale != SharedScale::kComponents) return squares(s) / weight(s);
    return (squares(s).sum(0, true) / weight(s).sum()).expand_as(squares(s));
  }

 private:
  /// Products [K, S] of [K, d] with themselves times a factor [K, 1].
  [[nodiscard]] virtual at::Tensor outer(const at::Tensor& x, const at::Tensor& factor) const = 0;
};

/// Normal and LogNormal: coordinates independent.
class DiagonalMle final : public GaussianMle {
 public:
  DiagonalMle(const std::string& law, const WeightedMleOptions& options)
      : GaussianMle(law, options) {}

  [[nodiscard]] DistributionPtr law(const Tensors& parameters) const override {
    DistributionPtr base;
    if (name() == "Normal")
      base = std::make_shared<Normal>(parameters[0], parameters[1], Validate::kNo);
    else
      base = std::make_shared<LogNormal>(parameters[0], parameters[1], Validate::kNo);
    const auto dims = static_cast<int64_t>(options().event_shape.size());
    return dims == 0 ? base : std::make_shared<Independent>(base, dims);
  }
  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    return {"loc", "scale"};
  }

 private:
  [[nodiscard]] at::Tensor sums(const at::Tensor& given, const at::Tensor& w) const override {
    const auto x = name() == "Normal" ? given : given.log();
    const auto total = w.sum(1, /*keepdim=*/true);
    const auto mean = w.matmul(x) / total.clamp_min(kNoWeight);
    // About the rows' mean first, so that little is left to cancel.
    const auto middle = x.mean(0, true);
    const auto centred = x - middle;
    const auto second = w.matmul(centred.square()) - total * (mean - middle).square();
    return at::cat({total, mean, second.clamp_min(0)}, 1);
  }
  [[nodiscard]] Tensors maximum(const at::Tensor& s) const override {
    auto variance = mean_squares(s);
    if (options().shared_scale == SharedScale::kEvent)
      variance = variance.mean(1, true).expand_as(variance);
    const auto scale = variance.clamp_min(options().variance_floor).sqrt();
    const auto shape = batch_and(s.size(0), options().event_shape);
    // A variance of 0 has no maximum.
    return {mean(s).reshape(shape), scale.masked_fill(scale.eq(0), NAN).reshape(shape)};
  }
  [[nodiscard]] at::Tensor outer(const at::Tensor& x, const at::Tensor& factor) const override {
    return x.square() * factor;
  }
};

class FullMle final : public GaussianMle {
 public:
  explicit FullMle(const WeightedMleOptions& options) : GaussianMle("MultivariateNormal", options) {
    if (options.event_shape.size() != 1)
      throw ConfigError("weighted_mle: MultivariateNormal needs event_shape; expected {d}");
    if (options.shared_scale == SharedScale::kEvent)
      throw ConfigError(
          "weighted_mle: MultivariateNormal with one variance for all coordinates; expected "
          "Normal");
  }

  [[nodiscard]] DistributionPtr law(const Tensors& parameters) const override {
    return std::make_shared<MultivariateNormal>(parameters[0], parameters[1], Validate::kNo);
  }
  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    return {"loc", "scale_tril"};
  }

 private:
  [[nodiscard]] at::Tensor sums(const at::Tensor& x, const at::Tensor& w) const override {
    const auto total = w.sum(1, /*keepdim=*/true);
    const auto mean = w.matmul(x) / total.clamp_min(kNoWeight);
    return at::cat({total, mean, weighted_scatter(x, w, mean).flatten(1)}, 1);
  }
  [[nodiscard]] Tensors maximum(const at::Tensor& s) const override {
    const bool tied = options().shared_scale == SharedScale::kComponents;
    const auto covariance = mean_squares(s).reshape({s.size(0), dim(), dim()});
    const auto root = floored_root(tied ? covariance.narrow(0, 0, 1) : covariance);
    return {mean(s).contiguous(), root.expand_as(covariance).contiguous()};
  }
  /// Cholesky factors, NaN where there is none. The likelihood's maximum over covariances whose
  /// eigenvalues are at least the floor has the same eigenvectors, the smaller eigenvalues raised.
  [[nodiscard]] at::Tensor floored_root(const at::Tensor& given) const {
    const double floor = options().variance_floor;
    auto covariance = given;
    const auto identity = at::eye(dim(), given.options());
    const auto above = std::get<1>(at::linalg_cholesky_ex(given - floor * identity)).eq(0);
    const auto low = above.logical_not().nonzero().flatten();
    if (floor > 0 && low.numel() > 0 && given.isfinite().all().item<bool>()) {
      const auto [values, vectors] = at::linalg_eigh(given.index_select(0, low));
      const auto raised =
          (vectors * values.clamp_min(floor).unsqueeze(-2)).matmul(vectors.transpose(-2, -1));
      covariance = given.index_copy(0, low, 0.5 * (raised + raised.transpose(-2, -1)));
    }
    const auto [root, info] = at::linalg_cholesky_ex(covariance);
    return root.masked_fill(info.ne(0).view({-1, 1, 1}), NAN);
  }
  [[nodiscard]] at::Tensor outer(const at::Tensor& x, const at::Tensor& factor) const override {
    return ((x * factor).unsqueeze(2) * x.unsqueeze(1)).flatten(1);
  }
};

}  // namespace

MlePtr gaussian_mle(const std::string& law, const WeightedMleOptions& options) {
  if (law == "MultivariateNormal") return std::make_shared<FullMle>(options);
  return std::make_shared<DiagonalMle>(law, options);
}

}  // namespace elbo::detail
