#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The binary Concrete law (Maddison et al. 2017), a relaxation of Bernoulli onto (0, 1).
/// **Equation** logit x = (logits + logit u) / temperature, u uniform on (0, 1)
/// **Shapes** temperature and probs or logits broadcast to B; events are scalars. A draw is kept
/// off 0 and 1; where that loses too much (temperatures far below 1), work with its logit.
/// **Ranges** temperature > 0, probs in (0, 1), logits finite; DomainError otherwise.
class RelaxedBernoulli final : public DistributionBase<RelaxedBernoulli> {
 public:
  RelaxedBernoulli(at::Tensor temperature, const at::Tensor& probs,
                   Validate validate = Validate::kYes);
  [[nodiscard]] static RelaxedBernoulli from_logits(at::Tensor temperature,
                                                    const at::Tensor& logits,
                                                    Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& temperature() const { return temperature_; }
  [[nodiscard]] at::Tensor logits() const;
  [[nodiscard]] at::Tensor probs() const;

  [[nodiscard]] std::string name() const override { return "RelaxedBernoulli"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_survival(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor icdf(const at::Tensor& u) const override;
  [[nodiscard]] Constraint support() const override { return Constraint::Kind::kUnitInterval; }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

  /// The logit of the draw that `rsample` makes of the same noise.
  [[nodiscard]] at::Tensor rsample_logit(const Noise& noise, at::IntArrayRef shape = {}) const;
  /// The log density of y = logit x on the real line.
  [[nodiscard]] at::Tensor log_prob_of_logit(const at::Tensor& y) const;

 private:
  struct FromLogits {};
  RelaxedBernoulli(FromLogits, at::Tensor temperature, at::Tensor logits, Validate validate);
  /// logit p in float64
  [[nodiscard]] at::Tensor wide_logits() const;
  /// temperature logit x - logits: of the standard logistic law
  [[nodiscard]] at::Tensor standardised(const at::Tensor& y) const;

  at::Tensor temperature_;
  at::Tensor given_;  // probs or logits
  bool of_logits_ = false;
};

}  // namespace elbo
