// The gradient of an expectation along the parameters of its law, by either of AEVB's two ways.
#pragma once

#include <functional>
#include <vector>

#include "elbo/distributions/distribution.h"

namespace elbo {

enum class GradientEstimator {
  kScoreFunction,    ///< f(z) d log p(z)/d theta: of every law (AEVB 2.2, the naive estimator)
  kReparameterized,  ///< d f(z(theta, noise))/d theta: of laws with rsample (AEVB 2.4)
};

/// What `expectation_gradient` found, in float64, without gradient.
struct ExpectationGradient {
  at::Tensor value;                  ///< the mean of f over the draws
  std::vector<at::Tensor> mean;      ///< of each parameter's gradient, of the parameter's shape
  std::vector<at::Tensor> variance;  ///< of the gradient that one draw gives; divide by the number
                                     ///< of draws for that of `mean`
};

/// The law of some parameters.
using Family = std::function<DistributionPtr(at::TensorList parameters)>;

/// d E[f(z)]/d theta, z drawn from family(theta), with the variance that one draw's estimate has.
///
/// **Shapes** z is [S] + batch + event, S draws; f(z) is [S], or [S] and leading dimensions of the
/// batch, and then the gradient is that of its sum. `family` is given every parameter with a
/// leading dimension S.
/// **Throws** UnsupportedError by kReparameterized where the law has no rsample, by kScoreFunction
/// where its support moves with a parameter (Uniform, Pareto's scale), which would bias it;
/// ShapeError where f's result does not fit; ConfigError for fewer than two draws.
/// **RNG** `noise`; both estimators draw the same z from the same noise.
[[nodiscard]] ExpectationGradient expectation_gradient(
    GradientEstimator how, const Family& family, at::TensorList parameters,
    const std::function<at::Tensor(const at::Tensor& z)>& f, const Noise& noise, int64_t draws);

}  // namespace elbo
