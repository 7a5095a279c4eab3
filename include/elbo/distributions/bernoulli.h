#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The law of a coin on {0, 1}. `log_prob` is x log p + (1 - x) log(1 - p) (AEVB C.1), and takes
/// grey values x in [0, 1] as the paper's experiments do; outside it is -inf.
/// **Ranges** probs in [0, 1]; DomainError otherwise.
class Bernoulli final : public DistributionBase<Bernoulli> {
 public:
  explicit Bernoulli(const at::Tensor& probs, Validate validate = Validate::kYes);
  [[nodiscard]] static Bernoulli from_logits(at::Tensor logits);

  [[nodiscard]] const at::Tensor& logits() const { return logits_; }
  [[nodiscard]] at::Tensor probs() const;

  [[nodiscard]] std::string name() const override { return "Bernoulli"; }
  [[nodiscard]] at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool is_discrete() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_prob_sum(const at::Tensor& x, int64_t event_dims) const override;
  [[nodiscard]] at::Tensor cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_survival(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor icdf(const at::Tensor& u) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override { return probs(); }
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] at::Tensor mode() const override;
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  struct FromLogits {};
  Bernoulli(FromLogits, at::Tensor logits);

  at::Tensor logits_;
};

}  // namespace elbo
