#pragma once

#include "elbo/distributions/distribution.h"

namespace elbo {

/// The Concrete law (Maddison et al. 2017; Jang et al. 2017: Gumbel-softmax), a relaxation of
/// OneHotCategorical onto the simplex.
/// **Equation** x = softmax((logits + g) / temperature), g standard Gumbel
/// **Shapes** temperature [B], probs or logits [B, K]; they broadcast over B. Events [K]. A draw
/// is kept above 0; where that loses too much (temperatures far below 1), work with its logarithm.
/// **Ranges** temperature > 0, probs > 0, logits finite; DomainError otherwise. `log_prob` is -inf
/// where x <= 0 or its sum is farther than 1e-5 from 1.
class RelaxedOneHotCategorical final : public DistributionBase<RelaxedOneHotCategorical> {
 public:
  RelaxedOneHotCategorical(at::Tensor temperature, const at::Tensor& probs,
                           Validate validate = Validate::kYes);
  [[nodiscard]] static RelaxedOneHotCategorical from_logits(at::Tensor temperature,
                                                            const at::Tensor& logits,
                                                            Validate validate = Validate::kYes);

  [[nodiscard]] const at::Tensor& temperature() const { return temperature_; }
  /// Normalised: log p.
  [[nodiscard]] at::Tensor logits() const;
  [[nodiscard]] at::Tensor probs() const;

  [[nodiscard]] std::string name() const override { return "RelaxedOneHotCategorical"; }
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return true; }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] Constraint support() const override { return Constraint::Kind::kSimplex; }
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

  /// The logarithm of the draw that `rsample` makes of the same noise.
  [[nodiscard]] at::Tensor rsample_log(const Noise& noise, at::IntArrayRef shape = {}) const;
  /// The density, as torch's ExpRelaxedCategorical has it, of y = log x.
  [[nodiscard]] at::Tensor log_prob_of_log(const at::Tensor& y) const;

 private:
  struct FromLogits {};
  RelaxedOneHotCategorical(FromLogits, at::Tensor temperature, at::Tensor logits,
                           Validate validate);
  /// Normalised log p in float64.
  [[nodiscard]] at::Tensor log_probs() const;

  at::Tensor temperature_;
  at::Tensor given_;  // probs or logits, as given
  bool of_logits_ = false;
};

}  // namespace elbo
