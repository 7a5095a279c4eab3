// What every distribution is held to: a table's values, and gradients by differences.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "elbo/distributions.h"

namespace elbo::testing {

using nlohmann::json;

inline double number(const json& value) {
  if (!value.is_string()) return value.get<double>();
  const auto name = value.get<std::string>();
  if (name == "inf") return std::numeric_limits<double>::infinity();
  if (name == "-inf") return -std::numeric_limits<double>::infinity();
  return std::numeric_limits<double>::quiet_NaN();
}

inline at::Tensor scalar(double value) { return at::full({}, value, at::kDouble); }

inline constexpr double kTableTolerance = 1e-10;
inline constexpr double kSingleTolerance = 1e-5;

/// |a - b| <= 1e-10 max(1, |b|).
inline bool close(double a, double b) {
  return a == b || std::abs(a - b) <= kTableTolerance * std::max(1.0, std::abs(b));
}

/// The methods that tables have values of, by their names there.
using Method = at::Tensor (Distribution::*)(const at::Tensor&) const;
inline const std::vector<std::pair<const char*, Method>> kOfX = {
    {"log_prob", &Distribution::log_prob},
    {"cdf", &Distribution::cdf},
    {"log_cdf", &Distribution::log_cdf},
    {"log_survival", &Distribution::log_survival}};
inline const std::vector<std::pair<const char*, at::Tensor (Distribution::*)() const>>
    kOfParameters = {{"entropy", &Distribution::entropy},
                     {"mean", &Distribution::mean},
                     {"variance", &Distribution::variance},
                     {"mode", &Distribution::mode}};

using TensorFunction = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// Largest difference between autograd's gradient and central differences, over all elements of
/// all inputs, relative to max(1, |gradient|). Distinct weights keep elements from cancelling. A
/// relative step suits values of any size.
inline double gradient_error(const TensorFunction& f, const std::vector<at::Tensor>& inputs,
                             bool relative_step = false) {
  const auto weighted = [&](const std::vector<at::Tensor>& at) {
    const auto y = f(at);
    return (y * at::arange(1, y.numel() + 1, y.options()).view(y.sizes()).cos()).sum();
  };
  std::vector<at::Tensor> leaves;
  for (const auto& x : inputs) leaves.push_back(x.detach().clone().requires_grad_());
  weighted(leaves).backward();
  double worst = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (int64_t k = 0; k < inputs[i].numel(); ++k) {
      const double size = std::abs(inputs[i].reshape({-1})[k].item<double>());
      const double step = relative_step && size > 0 ? 1e-5 * size : 1e-5;
      const auto shifted = [&](double by) {
        std::vector<at::Tensor> moved;
        for (const auto& x : inputs) moved.push_back(x.detach().clone());
        moved[i].view({-1})[k] += by;
        return weighted(moved).item<double>();
      };
      const double slope = (shifted(step) - shifted(-step)) / (2 * step);
      const double got =
          leaves[i].grad().defined() ? leaves[i].grad().reshape({-1})[k].item<double>() : 0;
      worst = std::max(worst, std::abs(got - slope) / std::max(1.0, std::abs(slope)));
    }
  }
  return worst;
}

inline constexpr double kGradientTolerance = 1e-7;

/// Expects `make` to throw a DomainError with exactly this message.
template <class Make>
void expect_domain_error(const Make& make, const std::string& message) {
  try {
    make();
    ADD_FAILURE() << "expected: " << message;
  } catch (const DomainError& error) {
    EXPECT_EQ(error.what(), message);
  }
}

}  // namespace elbo::testing
