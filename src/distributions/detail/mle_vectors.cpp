#include <ATen/ATen.h>

#include <cmath>

#include "distributions/detail/mle.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/dirichlet.h"
#include "elbo/distributions/multinomial.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/distributions/wishart.h"

namespace elbo::detail {
namespace {

using Tensors = std::vector<at::Tensor>;

int64_t last(const std::string& law, const WeightedMleOptions& options) {
  if (options.event_shape.size() != 1)
    throw ConfigError("weighted_mle: " + law + " needs event_shape; expected {categories}");
  return options.event_shape[0];
}

/// Statistics [K, 1 + D C]: the weight and the counts of C categories in each of D coordinates.
class CategoriesMle final : public WeightedMle {
 public:
  CategoriesMle(const std::string& law, const WeightedMleOptions& options)
      : WeightedMle(law, options),
        categories_(law == "Categorical" ? options.num_categories : last(law, options)) {
    if (categories_ < 1)
      throw ConfigError("weighted_mle: Categorical needs num_categories; expected >= 1");
    if (law == "Multinomial" && !(options.total_count > 0))
      throw ConfigError("weighted_mle: Multinomial needs its total_count; expected > 0");
    if (options.probability_floor * static_cast<double>(categories_) > 1)
      throw ConfigError("weighted_mle: probability_floor; expected at most 1 / categories");
  }

  [[nodiscard]] DistributionPtr law(const Tensors& parameters) const override {
    const auto& probs = parameters[0];
    if (name() == "OneHotCategorical")
      return std::make_shared<OneHotCategorical>(probs, Validate::kNo);
    if (name() == "Multinomial")
      return std::make_shared<Multinomial>(static_cast<int64_t>(options().total_count), probs,
                                           Validate::kNo);
    const auto base = std::make_shared<Categorical>(probs, Validate::kNo);
    const auto dims = static_cast<int64_t>(options().event_shape.size());
    if (dims == 0) return base;
    return std::make_shared<Independent>(base, dims);
  }
  [[nodiscard]] std::vector<std::string> parameter_names() const override { return {"probs"}; }

 private:
  [[nodiscard]] at::Tensor sums(const at::Tensor& x, const at::Tensor& w) const override {
    auto counts = x;
    if (name() == "Categorical") {
      const auto index = x.to(at::kLong);
      if (!index.eq(x).logical_and(index >= 0).logical_and(index < categories_).all().item<bool>())
        throw DomainError("weighted_mle: Categorical: a value of x; expected 0 .. " +
                          std::to_string(categories_ - 1));
      counts = at::one_hot(index, categories_).to(x.dtype()).flatten(1);
    }
    return at::cat({w.sum(1, /*keepdim=*/true), w.matmul(counts)}, 1);
  }
  [[nodiscard]] Tensors maximum(const at::Tensor& statistics) const override {
    auto shape = batch_and(statistics.size(0), options().event_shape);
    if (name() == "Categorical") shape.push_back(categories_);
    const auto counts = columns(statistics, 1, statistics.size(1) - 1).reshape(shape);
    return {floored_probs(counts, options().probability_floor)};
  }

  int64_t categories_;
};

class DirichletMle final : public WeightedMle {
 public:
  explicit DirichletMle(const WeightedMleOptions& options) : WeightedMle("Dirichlet", options) {
    (void)last("Dirichlet", options);
  }
  [[nodiscard]] DistributionPtr law(const Tensors& parameters) const override {
    return std::make_shared<Dirichlet>(parameters[0], Validate::kNo);
  }
  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    return {"concentration"};
  }

 private:
  [[nodiscard]] at::Tensor sums(const at::Tensor& x, const at::Tensor& w) const override {
    return at::cat({w.sum(1, /*keepdim=*/true), w.matmul(x.log())}, 1);
  }
  [[nodiscard]] Tensors maximum(const at::Tensor& s) const override {
    const auto mean_log = columns(s, 1, s.size(1) - 1) / columns(s, 0, 1);
    return {dirichlet_concentration(mean_log, options().max_concentration)};
  }
};

/// Statistics [K, 1 + d^2 + 1]: the weight, the sums of x and of log |x|.
class WishartMle final : public WeightedMle {
 public:
  explicit WishartMle(const WeightedMleOptions& options) : WeightedMle("Wishart", options) {
    if (options.event_shape.size() != 2 || options.event_shape[0] != options.event_shape[1])
      throw ConfigError("weighted_mle: Wishart needs event_shape; expected {d, d}");
  }
  [[nodiscard]] DistributionPtr law(const Tensors& parameters) const override {
    return std::make_shared<Wishart>(parameters[0], parameters[1], Validate::kNo);
  }
  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    return {"df", "scale_tril"};
  }

 private:
  [[nodiscard]] int64_t dim() const { return options().event_shape[0]; }

  [[nodiscard]] at::Tensor sums(const at::Tensor& x, const at::Tensor& w) const override {
    const auto log_det = at::logdet(x.view({-1, dim(), dim()})).unsqueeze(1);
    return at::cat({w.sum(1, /*keepdim=*/true), w.matmul(at::cat({x, log_det}, 1))}, 1);
  }
  /// The scale is mean(x) / df at any df, which leaves one unknown: where
  /// sum_i digamma((df - i) / 2) + log |2 mean(x) / df| is the mean of log |x|.
  [[nodiscard]] Tensors maximum(const at::Tensor& s) const override {
    const int64_t d = dim();
    const auto weight = columns(s, 0, 1);
    const auto mean = (columns(s, 1, d * d) / weight).reshape({-1, d, d});
    const auto mean_log = (columns(s, 1 + d * d, 1) / weight).squeeze(1);
    const auto half_i = 0.5 * at::arange(d, s.options());
    const auto constant = at::logdet(mean) - mean_log + static_cast<double>(d) * std::log(2.0);
    const double least = static_cast<double>(d - 1);
    const auto f = [&](const at::Tensor& excess) {  // df - (d - 1) > 0
      const auto df = excess + least;
      const auto a = 0.5 * df.unsqueeze(1) - half_i;
      return std::pair(at::digamma(a).sum(1) + constant - static_cast<double>(d) * df.log(),
                       0.5 * at::polygamma(1, a).sum(1) - static_cast<double>(d) / df);
    };
    const auto df = least + root(f, at::ones_like(mean_log), 1e-12, options().max_concentration);
    const auto [lower, info] = at::linalg_cholesky_ex(mean / df.view({-1, 1, 1}));
    return {df, lower.masked_fill(info.ne(0).view({-1, 1, 1}), NAN)};
  }
};

}  // namespace

MlePtr categories_mle(const std::string& law, const WeightedMleOptions& options) {
  return std::make_shared<CategoriesMle>(law, options);
}
MlePtr dirichlet_mle(const WeightedMleOptions& options) {
  return std::make_shared<DirichletMle>(options);
}
MlePtr wishart_mle(const WeightedMleOptions& options) {
  return std::make_shared<WishartMle>(options);
}

}  // namespace elbo::detail
