// Bayesian linear and logistic regression by a bound (FVB, with no latent variable but the
// weights).
#pragma once

#include <memory>
#include <vector>

#include "elbo/nn/bayesian_linear.h"
#include "elbo/parameters.h"
#include "elbo/program/trace.h"

namespace elbo {

/// p(y | x, w), eta = x w + b.
enum class Response {
  kNormal,     ///< y ~ N(eta, noise_scale^2): linear regression
  kBernoulli,  ///< y ~ Bernoulli(1 / (1 + exp(-eta))): logistic regression, y 0 or 1
};

struct BayesianRegressionConfig {
  int64_t features = 0;  ///< D; there is an intercept besides
  Response response = Response::kNormal;
  double prior_scale = 1;  ///< of w and b: N(0, prior_scale^2)
  double noise_scale = 1;  ///< of kNormal
  nn::WeightPosteriorOptions posterior = {.family = nn::WeightFamily::kCholesky};
  nn::WeightDraws draws = nn::WeightDraws::kShared;

  void validate() const;
};

/// What is expected of y at some inputs. float64 [M].
struct Prediction {
  at::Tensor mean;          ///< E[y]; of kBernoulli the probability of 1
  at::Tensor lower, upper;  ///< where y lies with the probability asked for; of kBernoulli, where
                            ///< its probability does, as far as w is uncertain
};

/// Site "weights" [D + 1], (w, b), outside of the plate; site "y" in plate "data". The batch has
/// columns "x" [M, D] and "y" [M]. Learns by any estimator that takes global sites: `Sgvb`, `Aevb`.
class BayesianRegression {
 public:
  BayesianRegression(BayesianRegressionConfig config, const at::TensorOptions& type);

  [[nodiscard]] Program model() const;
  [[nodiscard]] Program guide() const;
  /// Segment "phi": the parameters of q(w, b).
  [[nodiscard]] std::vector<std::pair<std::string, NamedParameters>> parameters() const;
  [[nodiscard]] const nn::WeightPosterior& posterior() const { return *posterior_; }

  /// The posterior predictive law at x [M, D], under q. Exact: eta is normal there, and the mean of
  /// its sigmoid is an integral on a line.
  /// **Ranges** 0 < level < 1; ConfigError otherwise.
  [[nodiscard]] Prediction predict(const at::Tensor& x, double level = 0.9) const;

 private:
  BayesianRegressionConfig config_;
  std::shared_ptr<nn::WeightPosterior> posterior_;
};

}  // namespace elbo
