#pragma once

#include "elbo/distributions/categorical.h"

namespace elbo {

/// Categorical with a draw written as a vector of zeros and a single 1, in the dtype of probs.
/// **Shapes** probs and logits [B, K]; events [K].
/// **Ranges** probs >= 0 with a positive sum (they are normalised); DomainError otherwise.
class OneHotCategorical final : public DistributionBase<OneHotCategorical> {
 public:
  explicit OneHotCategorical(const at::Tensor& probs, Validate validate = Validate::kYes);
  [[nodiscard]] static OneHotCategorical from_logits(const at::Tensor& logits,
                                                     Validate validate = Validate::kYes);

  /// Normalised: log p.
  [[nodiscard]] const at::Tensor& logits() const { return categorical_.logits(); }
  [[nodiscard]] at::Tensor probs() const { return categorical_.probs(); }
  [[nodiscard]] int64_t num_categories() const { return categorical_.num_categories(); }

  [[nodiscard]] std::string name() const override { return "OneHotCategorical"; }
  [[nodiscard]] at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool is_discrete() const override { return true; }
  /// -inf where x is not one-hot.
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor entropy() const override { return categorical_.entropy(); }
  [[nodiscard]] at::Tensor mean() const override { return probs(); }
  [[nodiscard]] at::Tensor variance() const override;
  /// The first of the most probable.
  [[nodiscard]] at::Tensor mode() const override;
  [[nodiscard]] Constraint support() const override { return Constraint::Kind::kOneHot; }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

 private:
  explicit OneHotCategorical(Categorical categorical);
  [[nodiscard]] at::Tensor one_hot(const at::Tensor& category) const;

  Categorical categorical_;
};

}  // namespace elbo
