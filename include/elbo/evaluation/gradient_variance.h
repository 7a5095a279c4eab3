// How much the gradients of an estimator scatter.
#pragma once

#include <string>
#include <vector>

#include "elbo/estimators/bound.h"
#include "elbo/estimators/score_function.h"
#include "elbo/parameters.h"

namespace elbo {

/// Parameters that are looked at together: theta, phi, or one tensor.
using ParameterGroup = std::pair<std::string, NamedParameters>;

/// Of the gradient of the bound per datum along one group, over the draws of z alone.
struct GradientScatter {
  std::string group;
  double variance = 0;        ///< summed over the group's parameters
  double standard_error = 0;  ///< of `variance`
  double squared_mean = 0;    ///< |E gradient|^2, unbiased: may come out negative
};

struct GradientScatters {
  std::vector<GradientScatter> groups{};
  double milliseconds = 0;  ///< wall time a gradient
};

/// Draws `pairs` pairs of gradients on one minibatch.
///
/// **Equation** With independent g, h of the same law: E |g - h|^2 / 2 = the summed variance,
/// E g'h = |E g|^2; each pair is one independent estimate of both, whence the standard error.
/// **RNG** pair i draws from steps 2i and 2i + 1 of `noise`.
/// **Throws** ConfigError for fewer than 2 pairs; NumericError where a gradient is not finite.
[[nodiscard]] GradientScatters gradient_scatter(const Estimator& estimator, const Program& model,
                                                const Program& guide,
                                                const std::vector<ParameterGroup>& groups,
                                                const Batch& batch, const Noise& noise,
                                                int64_t pairs);

/// `baseline` as it is now: what has learnt from other minibatches does not go on learning on the
/// one that it is measured on.
[[nodiscard]] std::shared_ptr<Baseline> frozen(std::shared_ptr<const Baseline> baseline);

}  // namespace elbo
