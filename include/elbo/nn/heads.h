// Heads: features to a distribution.
#pragma once

#include <memory>

#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/normal.h"
#include "elbo/nn/linear.h"

namespace elbo::nn {

/// What the mean and the variance of a Gaussian head are.
struct GaussianHeadOptions {
  Activation mean = Activation::kIdentity;  ///< kTanh: UT's encoder; kSigmoid: Frey Face
  bool unit_variance = false;               ///< TT: no log-variance head
  double sigma_min = 0;                     ///< soft_floor of sigma; 0 for none
};

/// The law of a Gaussian head, of its linear outputs; `log_var` is not read where it has none.
[[nodiscard]] Independent gaussian_law(const at::Tensor& mu, const at::Tensor& log_var,
                                       const GaussianHeadOptions& head);

/// Features to a diagonal Normal over `out` dimensions (AEVB C.2): mu and log sigma^2, each linear
/// in the features.
class GaussianHead : public torch::nn::Module {
 public:
  GaussianHead(int64_t in, int64_t out, GaussianHeadOptions head, const at::TensorOptions& options);
  [[nodiscard]] Independent forward(const at::Tensor& features) const;

 private:
  GaussianHeadOptions head_;
  std::shared_ptr<Linear> mu_, log_var_;
};

/// Features to independent Bernoullis (AEVB C.1), through logits.
class BernoulliHead : public torch::nn::Module {
 public:
  BernoulliHead(int64_t in, int64_t out, const at::TensorOptions& options);
  [[nodiscard]] Independent forward(const at::Tensor& features) const;

 private:
  std::shared_ptr<Linear> logits_;
};

}  // namespace elbo::nn
