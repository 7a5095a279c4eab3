#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// How often each of K categories comes up in `total_count` draws.
/// **Shapes** probs and logits [B, K]; events [K], counts in the dtype of probs.
/// **Ranges** total_count >= 0; probs >= 0 with a positive sum (they are normalised); DomainError
/// otherwise.
class Multinomial final : public DistributionBase<Multinomial> {
 public:
  Multinomial(int64_t total_count, const at::Tensor& probs, Validate validate = Validate::kYes);
  [[nodiscard]] static Multinomial from_logits(int64_t total_count, const at::Tensor& logits,
                                               Validate validate = Validate::kYes);

  [[nodiscard]] int64_t total_count() const { return total_count_; }
  /// Normalised: log p.
  [[nodiscard]] at::Tensor logits() const { return log_probs_.to(type_); }
  [[nodiscard]] at::Tensor probs() const;

  [[nodiscard]] std::string name() const override { return "Multinomial"; }
  /// Category by category: what is left over is divided by a binomial.
  [[nodiscard]] at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool is_discrete() const override { return true; }
  /// -inf where x are not counts that sum to total_count.
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  /// A sum over the counts 0 .. total_count of each category.
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  struct FromLogProbs {};
  Multinomial(FromLogProbs, int64_t total_count, at::Tensor log_probs, const at::Tensor& like,
              Validate validate);

  int64_t total_count_;
  at::Tensor log_probs_;  // in float64
  at::ScalarType type_;
};

}  // namespace elbo
