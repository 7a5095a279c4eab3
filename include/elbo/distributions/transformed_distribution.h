#pragma once

#include <vector>

#include "elbo/distributions/bijection.h"
#include "elbo/distributions/distribution.h"

namespace elbo {

/// The law of f(u), u ~ base, where f is the composition of bijections, the first first.
///
/// **Equation** log p(x) = log p_base(u) - log |det df/du|, u = f^-1(x); -inf outside the open
/// image of f.
/// **Shapes** The event has the dimensions that the base's event or any of the bijections needs;
/// the base is expanded to the shape of the bijections' parameters.
/// **Throws** ConfigError where base is discrete; ShapeError where base has no element's shape.
/// `cdf`, its logarithms, `icdf` and the bounds of `support` are there for laws on the line; icdf
/// of a decreasing f takes the base's at 1 - u.
class TransformedDistribution final : public DistributionBase<TransformedDistribution> {
 public:
  TransformedDistribution(DistributionPtr base, std::vector<BijectionPtr> bijections);

  [[nodiscard]] const DistributionPtr& base() const { return base_; }
  [[nodiscard]] const std::vector<BijectionPtr>& bijections() const { return bijections_; }

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return base_->has_rsample(); }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_survival(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor icdf(const at::Tensor& u) const override;
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  struct Prepared;
  explicit TransformedDistribution(Prepared prepared);
  [[nodiscard]] static Prepared prepare(DistributionPtr base, std::vector<BijectionPtr> bijections);

  /// f^-1(x) of a law on the line, and where x lies beyond the ends of the image.
  struct Located {
    at::Tensor u, below, above;
  };
  [[nodiscard]] Located locate(const at::Tensor& x) const;
  /// `method` of the base or, where f decreases, `mirrored`; `at_bottom` below the image and
  /// `at_top` above it.
  using Method = at::Tensor (Distribution::*)(const at::Tensor&) const;
  [[nodiscard]] at::Tensor of_base(const at::Tensor& x, Method method, Method mirrored,
                                   double at_bottom, double at_top) const;
  /// A draw of the base and what each bijection makes of it in turn.
  [[nodiscard]] std::vector<at::Tensor> stages() const;
  [[nodiscard]] at::Tensor expanded(const at::Tensor& x) const;
  void expect_line(const char* method) const;

  DistributionPtr base_;
  std::vector<BijectionPtr> bijections_;
};

}  // namespace elbo
