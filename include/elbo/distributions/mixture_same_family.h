#pragma once

#include "elbo/distributions/categorical.h"
#include "elbo/distributions/distribution.h"

namespace elbo {

/// A mixture of K laws of one family.
///
/// **Equation** p(x) = sum_k w_k p_k(x)
/// **Shapes** The mixture's batch, and the component's batch without its last dimension, which is
/// K, broadcast to the batch B. The event is that of the component.
/// **RNG** The index from the site "mixture", all K components from the site "component".
/// **Throws** ShapeError where the component's last batch dimension is not K.
///
/// `cdf` and its logarithms are there for laws on the line, and `variance` is elementwise.
///
/// `rsample` is reparameterised implicitly (Figurnov, Mohamed and Mnih 2018, eq 6) through the
/// distributional transform S_d(x) = F(x_d | x_1, ..., x_(d-1)): dx/dtheta = -(dS/dx)^-1 dS/dtheta.
/// The components are continuous with a cdf, scalars or Independent over such. First derivatives
/// only.
class MixtureSameFamily final : public DistributionBase<MixtureSameFamily> {
 public:
  MixtureSameFamily(const Categorical& mixture, const DistributionPtr& component);

  [[nodiscard]] const Categorical& mixture() const { return mixture_; }
  /// Of batch shape B + K.
  [[nodiscard]] const DistributionPtr& component() const { return component_; }

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override;
  [[nodiscard]] bool is_discrete() const override { return component_->is_discrete(); }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_survival(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor mean() const override;
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

  /// log w_k + log p_k(x): S + B + K. Normalised, the posterior of the index.
  [[nodiscard]] at::Tensor log_joint(const at::Tensor& x) const;

 private:
  /// x with a dimension of 1 for K.
  [[nodiscard]] at::Tensor for_components(const at::Tensor& x) const;
  /// The mean over components of values B + K + E.
  [[nodiscard]] at::Tensor averaged(const at::Tensor& values) const;
  /// The component's law on the line; null where it has another form.
  [[nodiscard]] DistributionPtr on_the_line() const;

  Categorical mixture_;
  DistributionPtr component_;
};

}  // namespace elbo
