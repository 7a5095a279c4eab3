#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The uniform law on [low, high); `log_prob` is -inf outside.
/// **Ranges** low < high; DomainError otherwise.
class Uniform final : public DistributionBase<Uniform> {
 public:
  Uniform(at::Tensor low, at::Tensor high, Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& low() const { return low_; }
  [[nodiscard]] const at::Tensor& high() const { return high_; }

  [[nodiscard]] std::string name() const override { return "Uniform"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor icdf(const at::Tensor& u) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  at::Tensor low_, high_;
};

}  // namespace elbo
