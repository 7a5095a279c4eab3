// Composite Gauss-Legendre quadrature for the tests.
#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace elbo::testing {

/// Integral of a vectorised function over [low, high]: 5 nodes on each of 2000 panels.
inline double integral(const std::function<at::Tensor(const at::Tensor&)>& f, double low,
                       double high) {
  const auto nodes = at::tensor({-0.90617984593866399280, -0.53846931010568309104, 0.0,
                                 0.53846931010568309104, 0.90617984593866399280},
                                at::kDouble);
  const auto weights =
      at::tensor({0.23692688505618908751, 0.47862867049936646804, 0.56888888888888888889,
                  0.47862867049936646804, 0.23692688505618908751},
                 at::kDouble);
  constexpr int64_t kPanels = 2000;
  const double half = 0.5 * (high - low) / kPanels;
  const auto centres = low + half * (2 * at::arange(kPanels, at::kDouble) + 1);
  const auto x = centres.unsqueeze(1) + half * nodes;
  return (f(x) * weights).sum().item<double>() * half;
}

}  // namespace elbo::testing
