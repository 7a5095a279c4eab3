#include "elbo/evaluation/gradient_variance.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <cmath>

namespace elbo {
namespace {

/// Running mean and variance of numbers (Welford 1962).
struct Moments {
  void add(double x) {
    ++count;
    const double step = x - mean;
    mean += step / count;
    squares += step * (x - mean);
  }
  [[nodiscard]] double standard_error() const { return std::sqrt(squares / (count - 1) / count); }
  double count = 0, mean = 0, squares = 0;
};

double dot_product(const at::Tensor& a, const at::Tensor& b) {
  return a.flatten().to(at::kDouble).dot(b.flatten().to(at::kDouble)).item<double>();
}

struct Frozen final : Baseline {
  explicit Frozen(std::shared_ptr<const Baseline> of) : of(std::move(of)) {}
  at::Tensor value(const Batch& batch, const at::Tensor& signal) const override {
    return of->value(batch, signal);
  }
  std::shared_ptr<const Baseline> of;
};

}  // namespace

GradientScatters gradient_scatter(const Estimator& estimator, const Program& model,
                                  const Program& guide, const std::vector<ParameterGroup>& groups,
                                  const Batch& batch, const Noise& noise, int64_t pairs) {
  if (pairs < 2)
    throw ConfigError(fmt::format("gradient_scatter: pairs = {}; expected >= 2", pairs));
  std::vector<at::Tensor> parameters;
  for (const auto& [name, group] : groups)
    for (const auto& named : group) parameters.push_back(named.second);
  double seconds = 0;
  const auto gradient = [&](uint64_t step) {
    const auto start = std::chrono::steady_clock::now();
    const auto bound = estimator(model, guide, batch, noise.step(step)).per_datum();
    auto g = torch::autograd::grad({bound}, parameters, {}, /*retain_graph=*/false,
                                   /*create_graph=*/false, /*allow_unused=*/true);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (size_t i = 0; i < g.size(); ++i)
      if (!g[i].defined()) g[i] = at::zeros_like(parameters[i]);
    return g;
  };

  std::vector<Moments> variances(groups.size()), means(groups.size());
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const auto first = gradient(static_cast<uint64_t>(2 * pair));
    const auto second = gradient(static_cast<uint64_t>(2 * pair + 1));
    size_t at = 0;
    for (size_t k = 0; k < groups.size(); ++k) {
      double difference = 0, product = 0;
      for (size_t i = 0; i < groups[k].second.size(); ++i, ++at) {
        const auto apart = first[at] - second[at];
        difference += dot_product(apart, apart) / 2;
        product += dot_product(first[at], second[at]);
      }
      if (!std::isfinite(difference) || !std::isfinite(product))
        throw NumericError("gradient_scatter: a gradient along " + groups[k].first +
                           " is not finite");
      variances[k].add(difference);
      means[k].add(product);
    }
  }
  GradientScatters out{.milliseconds = 1e3 * seconds / static_cast<double>(2 * pairs)};
  for (size_t k = 0; k < groups.size(); ++k)
    out.groups.push_back(
        {groups[k].first, variances[k].mean, variances[k].standard_error(), means[k].mean});
  return out;
}

std::shared_ptr<Baseline> frozen(std::shared_ptr<const Baseline> baseline) {
  return std::make_shared<Frozen>(std::move(baseline));
}

}  // namespace elbo
