#include "elbo/distributions/weighted_mle.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "distributions/detail/mle.h"

namespace elbo {

void WeightedMleOptions::validate() const {
  if (!(variance_floor >= 0))
    throw ConfigError(fmt::format("variance_floor = {}; expected >= 0", variance_floor));
  if (!(probability_floor >= 0 && probability_floor <= 0.5))
    throw ConfigError(
        fmt::format("probability_floor = {}; expected a number in [0, 1/2]", probability_floor));
  if (!(mean_floor >= 0))
    throw ConfigError(fmt::format("mean_floor = {}; expected >= 0", mean_floor));
  if (!(max_concentration >= 1))
    throw ConfigError(fmt::format("max_concentration = {}; expected >= 1", max_concentration));
}

WeightedMle::WeightedMle(std::string name, WeightedMleOptions options)
    : name_(std::move(name)), options_(std::move(options)) {
  options_.validate();
}

at::Tensor WeightedMle::statistics(const at::Tensor& x, const at::Tensor& weights) const {
  auto expected = options_.event_shape;
  expected.insert(expected.begin(), weights.dim() == 2 ? weights.size(1) : -1);
  if (x.sizes() != expected)
    throw ShapeError(
        fmt::format("weighted_mle: {}: x of shape [{}], weights [{}]; expected [M, {}] and [K, M]",
                    name_, fmt::join(x.sizes(), ", "), fmt::join(weights.sizes(), ", "),
                    fmt::join(options_.event_shape, ", ")));
  const at::NoGradGuard no_grad;
  return sums(x.to(at::kDouble).reshape({x.size(0), detail::numel(options_.event_shape)}),
              weights.to(at::kDouble));
}

at::Tensor WeightedMle::merge(const at::Tensor& a, const at::Tensor& b) const { return a + b; }

at::Tensor WeightedMle::scale(const at::Tensor& statistics, double factor) const {
  return statistics * factor;
}

std::vector<at::Tensor> WeightedMle::fit(const at::Tensor& statistics,
                                         const std::vector<at::Tensor>& previous) const {
  const at::NoGradGuard no_grad;
  const auto complain = [&](const at::Tensor& ok, const char* what) {
    if (ok.all().item<bool>()) return;
    throw NumericError(fmt::format("weighted_mle: {}: component {} {}", name_,
                                   ok.logical_not().nonzero()[0].item<int64_t>(), what));
  };
  complain(statistics.isfinite().all(1), "has statistics that are not finite");
  const auto with_weight = statistics.select(1, 0) >= kNoWeight;
  if (previous.empty()) complain(with_weight, "has no weight, and no earlier parameters to keep");
  complain(with_weight.any().unsqueeze(0), "has no weight, nor has any other");
  // Where there is no weight, statistics that have a maximum stand in, too light to move a scale
  // that components share.
  const auto most = statistics.select(1, 0).argmax().item<int64_t>();
  const auto heaviest = statistics.narrow(0, most, 1);
  const auto light = scale(heaviest, 1e-150 / heaviest[0][0].item<double>());
  auto found = maximum(at::where(with_weight.unsqueeze(1), statistics, light));
  const auto names = parameter_names();
  for (size_t i = 0; i < found.size(); ++i) {
    if (!previous.empty()) {
      std::vector<int64_t> shape(static_cast<size_t>(found[i].dim()), 1);
      shape[0] = -1;
      found[i] = at::where(with_weight.view(shape), found[i],
                           previous[i].to(at::kDouble).reshape_as(found[i]));
    }
    complain(found[i].isfinite().view({found[i].size(0), -1}).all(1),
             ("has no finite maximum for " + names[i] +
              " (all of its rows are equal, or on the edge of the support); expected rows that "
              "differ, or a bound among the options")
                 .c_str());
  }
  return found;
}

std::vector<std::string> weighted_mle_laws() {
  auto names = detail::univariate_mle_laws();
  for (const char* name : {"Categorical", "Dirichlet", "LogNormal", "Multinomial",
                           "MultivariateNormal", "Normal", "OneHotCategorical", "Wishart"})
    names.emplace_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

std::shared_ptr<const WeightedMle> weighted_mle(const std::string& law,
                                                WeightedMleOptions options) {
  if (law == "Normal" || law == "LogNormal" || law == "MultivariateNormal")
    return detail::gaussian_mle(law, options);
  if (law == "Categorical" || law == "OneHotCategorical" || law == "Multinomial")
    return detail::categories_mle(law, options);
  if (law == "Dirichlet") return detail::dirichlet_mle(options);
  if (law == "Wishart") return detail::wishart_mle(options);
  if (auto found = detail::univariate_mle(law, options)) return found;
  throw ConfigError(fmt::format("weighted_mle: '{}'; expected one of {}", law,
                                fmt::join(weighted_mle_laws(), ", ")));
}

}  // namespace elbo
