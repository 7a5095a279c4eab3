// Weighted maximum likelihood in closed form: what the M step of EM does to a family of laws.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "elbo/distributions/distribution.h"

namespace elbo {

/// Which Gaussian variances are one number (or matrix).
enum class SharedScale {
  kNone,       ///< each its own: a Normal's are "diagonal", a MultivariateNormal's "full"
  kEvent,      ///< one for all coordinates of an event: "spherical"
  kComponents  ///< one for all K components: "tied"
};

/// What a family needs to know, and the bounds of its parameters. Each estimate is the maximum
/// within the bounds, so that EM under them never loses likelihood.
struct WeightedMleOptions {
  /// Of x: laws on the line take any (independent coordinates), vectors [d], matrices [d, d].
  std::vector<int64_t> event_shape{};
  SharedScale shared_scale = SharedScale::kNone;
  int64_t num_categories = 0;  ///< Categorical
  double total_count = 0;      ///< Binomial, NegativeBinomial and Multinomial: known, not estimated
  double variance_floor = 0;   ///< least variance, squared scale or eigenvalue of a covariance
  double probability_floor = 0;  ///< least probability, and 1 minus the largest
  double mean_floor = 0;         ///< least mean of Poisson, Exponential and NegativeBinomial
  /// Largest of Gamma, InverseGamma, Erlang, VonMises, and of the sum of Beta's and Dirichlet's.
  double max_concentration = std::numeric_limits<double>::infinity();

  void validate() const;
};

/// The weighted maximum-likelihood estimator of K laws of one family.
///
/// **Equation** argmax over theta_k of sum_m w_km log p(x_m; theta_k), from sums of sufficient
/// statistics alone: rows may come in any number of pieces, on any number of machines.
/// **Shapes** M rows, K components, E the event. Statistics are float64 [K, S]; their first column
/// is the weight, sum_m w_km.
/// **Ranges** weights >= 0.
class WeightedMle {
 public:
  virtual ~WeightedMle() = default;

  /// Of rows x [M, E] under weights [K, M]. **Throws** ShapeError.
  [[nodiscard]] at::Tensor statistics(const at::Tensor& x, const at::Tensor& weights) const;
  /// Of the rows of both. A Gaussian family keeps means and sums of squares about them, which are
  /// merged as Chan, Golub and LeVeque (1983) do; all others are added.
  [[nodiscard]] virtual at::Tensor merge(const at::Tensor& a, const at::Tensor& b) const;
  /// As if each row counted `factor` times.
  [[nodiscard]] virtual at::Tensor scale(const at::Tensor& statistics, double factor) const;

  /// The estimates, in the order of the law's constructor: each [K, E], but scale_tril
  /// [K, d, d], probs of categories [K, E, C], df of Wishart [K]. Where a component has no weight,
  /// `previous` stays.
  /// **Throws** NumericError, naming the component, where the likelihood has no maximum (a variance
  /// of 0 without a floor), a statistic is not finite, or there is neither weight nor `previous`.
  [[nodiscard]] virtual std::vector<at::Tensor> fit(
      const at::Tensor& statistics, const std::vector<at::Tensor>& previous = {}) const;

  /// The law with these parameters, of any batch in place of [K]; values are not checked.
  [[nodiscard]] virtual DistributionPtr law(const std::vector<at::Tensor>& parameters) const = 0;
  /// The parameters' names, in the order of `fit`.
  [[nodiscard]] virtual std::vector<std::string> parameter_names() const = 0;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const WeightedMleOptions& options() const { return options_; }

 protected:
  WeightedMle(std::string name, WeightedMleOptions options);

 private:
  /// Of x [M, E flattened] in float64.
  [[nodiscard]] virtual at::Tensor sums(const at::Tensor& x, const at::Tensor& weights) const = 0;
  /// Of statistics whose weights are positive.
  [[nodiscard]] virtual std::vector<at::Tensor> maximum(const at::Tensor& statistics) const = 0;

  std::string name_;
  WeightedMleOptions options_;
};

/// A component counts as having no weight below this.
inline constexpr double kNoWeight = 1e-100;

/// The estimator of a family by its law's name: Bernoulli, Beta, Binomial, Categorical, Chi2,
/// ContinuousBernoulli, Dirichlet, Erlang, Exponential, Gamma, Geometric, HalfNormal, InverseGamma,
/// LogNormal, Multinomial, MultivariateNormal, NegativeBinomial, Normal, OneHotCategorical,
/// Poisson, Rayleigh, VonMises, Wishart.
/// **Throws** ConfigError, which lists them, for another name, and for options it cannot have.
[[nodiscard]] std::shared_ptr<const WeightedMle> weighted_mle(const std::string& law,
                                                              WeightedMleOptions options = {});
/// Those names, in alphabetical order.
[[nodiscard]] std::vector<std::string> weighted_mle_laws();

}  // namespace elbo
