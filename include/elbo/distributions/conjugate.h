// Conjugate priors: what variational Bayes does to a family of laws where maximum likelihood would
// take one of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "elbo/distributions/weighted_mle.h"

namespace elbo {

/// p(theta) of each of K laws, the same for all. Which numbers a family reads:
///
/// | law | its prior |
/// |---|---|
/// | Bernoulli | probs ~ Beta(concentration, concentration) |
/// | Categorical | probs ~ Dirichlet(concentration, ..) |
/// | Poisson | rate ~ Gamma(concentration, concentration / loc) |
/// | MultivariateNormal | precision P ~ Wishart(df, covariance^-1), mean ~ N(loc, (mean_precision
/// P)^-1) | | Normal | as that, of each column alone; of SharedScale::kEvent, one variance of all
/// columns whose prior has their variances' mean |
///
/// With SharedScale::kComponents the K laws share one precision and its prior.
struct ConjugatePrior {
  double concentration = 1;
  double mean_precision = 1;  ///< the prior's mean counts as so many rows
  double df = 0;              ///< the prior's variance as so many; 0: d of vectors, 1 of columns
  at::Tensor loc{};           ///< [E], read when it is needed, so that it may be written later
  at::Tensor covariance{};    ///< [d, d] of vectors, [E] of columns

  void validate() const;
};

/// q(theta) of K laws of one family under a conjugate prior, from the same weighted statistics as
/// their maximum likelihood, so that EM with it in place of `WeightedMle` is variational Bayes.
///
/// **Equation** q(theta_k) is proportional to p(theta_k) exp(sum_m w_km log p(x_m | theta_k)). Of
/// an exponential family with natural parameters eta and log normaliser A,
/// E_q log p(x | theta) = log p(x | E_q[eta]) + A(E_q[eta]) - E_q[A]: one law of the family, `law`,
/// and a number that is the same for all x, `log_gap` <= 0.
/// **Shapes** as `WeightedMle`; the parameters are q's, [K, ..].
class ConjugateFamily : public WeightedMle {
 public:
  /// Of the prior alone where a component has no weight; `previous` is not used.
  [[nodiscard]] std::vector<at::Tensor> fit(
      const at::Tensor& statistics, const std::vector<at::Tensor>& previous = {}) const final;
  /// The law at the natural parameters' mean under q.
  [[nodiscard]] DistributionPtr law(const std::vector<at::Tensor>& parameters) const override = 0;
  /// E_q log p(x | theta) less log p(x) of `law`: [B], the parameters' batch.
  [[nodiscard]] virtual at::Tensor log_gap(const std::vector<at::Tensor>& parameters) const = 0;
  /// The integral of p(x | theta) over q: what is expected of a new row.
  [[nodiscard]] virtual DistributionPtr predictive(
      const std::vector<at::Tensor>& parameters) const = 0;
  /// KL(q || p) of all K components together, in nats.
  [[nodiscard]] virtual at::Tensor kl(const std::vector<at::Tensor>& parameters) const = 0;

  [[nodiscard]] at::Tensor merge(const at::Tensor& a, const at::Tensor& b) const final;
  [[nodiscard]] at::Tensor scale(const at::Tensor& statistics, double factor) const final;

 protected:
  ConjugateFamily(const std::string& law, const WeightedMleOptions& options, ConjugatePrior prior);
  [[nodiscard]] const ConjugatePrior& prior() const { return prior_; }

 private:
  /// Of the bound: q's parameters from statistics, of any weight.
  [[nodiscard]] std::vector<at::Tensor> maximum(const at::Tensor& statistics) const override = 0;
  [[nodiscard]] at::Tensor sums(const at::Tensor& x, const at::Tensor& weights) const final;

  std::shared_ptr<const WeightedMle> maximum_likelihood_;
  ConjugatePrior prior_;
};

/// The laws of the table above, in alphabetical order.
[[nodiscard]] std::vector<std::string> conjugate_laws();
/// **Throws** ConfigError, which lists them, for another name, and for options it cannot have.
[[nodiscard]] std::shared_ptr<const ConjugateFamily> conjugate_family(
    const std::string& law, const WeightedMleOptions& options, ConjugatePrior prior);

}  // namespace elbo
