#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The law on {0, ..., K - 1} with the probabilities given along the last dimension.
/// **Shapes** probs and logits [B, K]; draws int64 and x of any type [S, B].
/// **Ranges** probs >= 0 with a positive sum (they are normalised); DomainError otherwise.
class Categorical final : public DistributionBase<Categorical> {
 public:
  explicit Categorical(const at::Tensor& probs, Validate validate = Validate::kYes);
  [[nodiscard]] static Categorical from_logits(const at::Tensor& logits);

  /// Normalised: log p.
  [[nodiscard]] const at::Tensor& logits() const { return log_probs_; }
  [[nodiscard]] at::Tensor probs() const;
  [[nodiscard]] int64_t num_categories() const { return log_probs_.size(-1); }

  [[nodiscard]] std::string name() const override { return "Categorical"; }
  [[nodiscard]] at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool is_discrete() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_survival(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor icdf(const at::Tensor& u) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mode() const override;
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  struct FromLogProbs {};
  Categorical(FromLogProbs, at::Tensor log_probs);
  /// Which categories lie above x: [.., K].
  [[nodiscard]] at::Tensor beyond(const at::Tensor& x) const;

  at::Tensor log_probs_;
};

}  // namespace elbo
