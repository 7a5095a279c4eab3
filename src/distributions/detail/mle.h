// The estimators' parts: see weighted_mle.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "elbo/distributions/weighted_mle.h"

namespace elbo::detail {

using MlePtr = std::shared_ptr<const WeightedMle>;

/// Laws on the line with sums of statistics; nullptr for another name.
MlePtr univariate_mle(const std::string& law, const WeightedMleOptions& options);
std::vector<std::string> univariate_mle_laws();
/// Normal, LogNormal and MultivariateNormal.
MlePtr gaussian_mle(const std::string& law, const WeightedMleOptions& options);
/// Categorical, OneHotCategorical and Multinomial.
MlePtr categories_mle(const std::string& law, const WeightedMleOptions& options);
MlePtr dirichlet_mle(const WeightedMleOptions& options);
MlePtr wishart_mle(const WeightedMleOptions& options);

/// The x > 0 where an increasing f is 0, elementwise, by Newton's method on log x within
/// [lower, upper]: the nearer end where there is none. `f` gives its value and slope along x.
at::Tensor root(const std::function<std::pair<at::Tensor, at::Tensor>(const at::Tensor&)>& f,
                const at::Tensor& start, double lower, double upper);
/// Infinite where there is no bound, `most`, and a concentration is what rounding has left of rows
/// that are all equal.
at::Tensor or_unbounded(const at::Tensor& concentration, double most);
/// The a where log a - digamma(a) = `gap`: the maximum-likelihood concentration of a Gamma law
/// whose log of mean less mean of log is `gap`. The largest, `most`, where the gap is not above 0.
at::Tensor gamma_concentration(const at::Tensor& gap, double most);
/// The a where digamma(a) = y.
at::Tensor inverse_digamma(const at::Tensor& y);
/// The maximum-likelihood concentrations, [.., C], of a Dirichlet law whose logarithms have these
/// means, with their sum at most `most`.
at::Tensor dirichlet_concentration(const at::Tensor& mean_log, double most);
/// Probabilities in proportion to the counts [.., C], none below `floor`: the maximum of
/// sum_c counts_c log p_c there.
at::Tensor floored_probs(const at::Tensor& counts, double floor);

/// Columns [from, from + count) of statistics.
inline at::Tensor columns(const at::Tensor& statistics, int64_t from, int64_t count) {
  return statistics.narrow(1, from, count);
}
/// [K] + shape
inline std::vector<int64_t> batch_and(int64_t k, const std::vector<int64_t>& shape) {
  std::vector<int64_t> out = {k};
  out.insert(out.end(), shape.begin(), shape.end());
  return out;
}
int64_t numel(const std::vector<int64_t>& shape);

}  // namespace elbo::detail
