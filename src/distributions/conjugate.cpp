#include "elbo/distributions/conjugate.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "distributions/detail/conjugate_parts.h"
#include "distributions/detail/mle.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/poisson.h"

namespace elbo {
namespace {

using Tensors = std::vector<at::Tensor>;
using detail::batch_and;
using detail::columns;

// Excess of log normalisers, KL of Dirichlet laws over the last dimension; of gamma laws.
at::Tensor kl_of_dirichlets(const at::Tensor& q, const at::Tensor& p) {
  const auto q_sum = q.sum(-1), p_sum = p.sum(-1);
  return at::lgamma(q_sum) - at::lgamma(p_sum) - (at::lgamma(q) - at::lgamma(p)).sum(-1) +
         ((q - p) * (at::digamma(q) - at::digamma(q_sum).unsqueeze(-1))).sum(-1);
}
at::Tensor kl_of_gammas(const at::Tensor& a, const at::Tensor& b, double a0, const at::Tensor& b0) {
  return (a - a0) * at::digamma(a) - at::lgamma(a) + std::lgamma(a0) + a0 * (b / b0).log() +
         a * (b0 - b) / b;
}

/// Laws of independent coordinates.
class Coordinates : public ConjugateFamily {
 public:
  Coordinates(const std::string& law, const WeightedMleOptions& options, ConjugatePrior prior)
      : ConjugateFamily(law, options, std::move(prior)) {}

 protected:
  [[nodiscard]] int64_t dims() const { return static_cast<int64_t>(options().event_shape.size()); }
  [[nodiscard]] DistributionPtr over_event(DistributionPtr base) const {
    return dims() == 0 ? base : std::make_shared<Independent>(base, dims());
  }
  [[nodiscard]] at::Tensor sum_over_event(at::Tensor x) const {
    for (int64_t i = 0; i < dims(); ++i) x = x.sum(-1);
    return x;
  }
  /// The weight [K, 1] and the sums of a statistic, [K, E flattened].
  [[nodiscard]] static at::Tensor weight(const at::Tensor& s) { return columns(s, 0, 1); }
  [[nodiscard]] at::Tensor sum(const at::Tensor& s) const {
    return columns(s, 1, detail::numel(options().event_shape));
  }
  [[nodiscard]] at::Tensor shaped(const at::Tensor& x) const {
    return x.reshape(batch_and(x.size(0), options().event_shape));
  }
};

class ConjugateBernoulli final : public Coordinates {
 public:
  using Coordinates::Coordinates;
  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    return {"concentration1", "concentration0"};
  }
  [[nodiscard]] DistributionPtr law(const Tensors& p) const override {
    return over_event(Bernoulli::from_logits(at::digamma(p[0]) - at::digamma(p[1])).clone());
  }
  [[nodiscard]] at::Tensor log_gap(const Tensors& p) const override {
    return sum_over_event(at::logaddexp(at::digamma(p[0]), at::digamma(p[1])) -
                          at::digamma(p[0] + p[1]));
  }
  [[nodiscard]] DistributionPtr predictive(const Tensors& p) const override {
    return over_event(std::make_shared<Bernoulli>(p[0] / (p[0] + p[1]), Validate::kNo));
  }
  [[nodiscard]] at::Tensor kl(const Tensors& p) const override {
    const auto q = at::stack({p[0], p[1]}, -1);
    return kl_of_dirichlets(q, at::full_like(q, prior().concentration)).sum();
  }

 private:
  [[nodiscard]] Tensors maximum(const at::Tensor& s) const override {
    const double a = prior().concentration;
    return {shaped(a + sum(s)), shaped(a + (weight(s) - sum(s)).clamp_min(0))};
  }
};

class ConjugateCategorical final : public Coordinates {
 public:
  using Coordinates::Coordinates;
  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    return {"concentration"};
  }
  [[nodiscard]] DistributionPtr law(const Tensors& p) const override {
    return over_event(std::make_shared<Categorical>(Categorical::from_logits(at::digamma(p[0]))));
  }
  [[nodiscard]] at::Tensor log_gap(const Tensors& p) const override {
    return sum_over_event(at::digamma(p[0]).logsumexp(-1) - at::digamma(p[0].sum(-1)));
  }
  [[nodiscard]] DistributionPtr predictive(const Tensors& p) const override {
    return over_event(std::make_shared<Categorical>(p[0], Validate::kNo));
  }
  [[nodiscard]] at::Tensor kl(const Tensors& p) const override {
    return kl_of_dirichlets(p[0], at::full_like(p[0], prior().concentration)).sum();
  }

 private:
  [[nodiscard]] Tensors maximum(const at::Tensor& s) const override {
    auto shape = batch_and(s.size(0), options().event_shape);
    shape.push_back(options().num_categories);
    return {prior().concentration + columns(s, 1, s.size(1) - 1).reshape(shape)};
  }
};

/// rate ~ Gamma(concentration, rate).
class ConjugatePoisson final : public Coordinates {
 public:
  using Coordinates::Coordinates;
  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    return {"concentration", "rate"};
  }
  [[nodiscard]] DistributionPtr law(const Tensors& p) const override {
    return over_event(std::make_shared<Poisson>(geometric_mean(p), Validate::kNo));
  }
  [[nodiscard]] at::Tensor log_gap(const Tensors& p) const override {
    return sum_over_event(geometric_mean(p) - p[0] / p[1]);
  }
  [[nodiscard]] DistributionPtr predictive(const Tensors& p) const override {
    return over_event(
        std::make_shared<NegativeBinomial>(p[0], (p[1] + 1).reciprocal(), Validate::kNo));
  }
  [[nodiscard]] at::Tensor kl(const Tensors& p) const override {
    const auto rate = prior_rate(p[1]).reshape(batch_and(1, options().event_shape));
    return kl_of_gammas(p[0], p[1], prior().concentration, rate).sum();
  }

 private:
  /// exp E log rate
  [[nodiscard]] static at::Tensor geometric_mean(const Tensors& p) {
    return at::digamma(p[0]).exp() / p[1];
  }
  /// [1, E flattened]
  [[nodiscard]] at::Tensor prior_rate(const at::Tensor& like) const {
    const auto width = detail::numel(options().event_shape);
    if (!prior().loc.defined()) return at::full({1, width}, prior().concentration, like.options());
    return prior().concentration / prior().loc.to(like.dtype()).reshape({1, width});
  }
  [[nodiscard]] Tensors maximum(const at::Tensor& s) const override {
    return {shaped(prior().concentration + sum(s)), shaped(prior_rate(s) + weight(s))};
  }
};

}  // namespace

void ConjugatePrior::validate() const {
  if (!(concentration > 0))
    throw ConfigError(fmt::format("concentration = {}; expected > 0", concentration));
  if (!(mean_precision > 0))
    throw ConfigError(fmt::format("mean_precision = {}; expected > 0", mean_precision));
  if (!(df >= 0)) throw ConfigError(fmt::format("df = {}; expected >= 0", df));
}

ConjugateFamily::ConjugateFamily(const std::string& law, const WeightedMleOptions& options,
                                 ConjugatePrior prior)
    : WeightedMle(law, options),
      maximum_likelihood_(weighted_mle(law, options)),
      prior_(std::move(prior)) {
  prior_.validate();
}

at::Tensor ConjugateFamily::sums(const at::Tensor& x, const at::Tensor& weights) const {
  return maximum_likelihood_->statistics(x.reshape(batch_and(x.size(0), options().event_shape)),
                                         weights);
}

at::Tensor ConjugateFamily::merge(const at::Tensor& a, const at::Tensor& b) const {
  return maximum_likelihood_->merge(a, b);
}

at::Tensor ConjugateFamily::scale(const at::Tensor& statistics, double factor) const {
  return maximum_likelihood_->scale(statistics, factor);
}

std::vector<at::Tensor> ConjugateFamily::fit(const at::Tensor& statistics,
                                             const std::vector<at::Tensor>& /*previous*/) const {
  const at::NoGradGuard no_grad;
  if (!statistics.isfinite().all().item<bool>())
    throw NumericError(fmt::format("conjugate_family: {}: statistics that are not finite", name()));
  return maximum(statistics);
}

std::vector<std::string> conjugate_laws() {
  return {"Bernoulli", "Categorical", "MultivariateNormal", "Normal", "Poisson"};
}

std::shared_ptr<const ConjugateFamily> conjugate_family(const std::string& law,
                                                        const WeightedMleOptions& options,
                                                        ConjugatePrior prior) {
  if (law == "Bernoulli") return std::make_shared<ConjugateBernoulli>(law, options, prior);
  if (law == "Categorical") return std::make_shared<ConjugateCategorical>(law, options, prior);
  if (law == "Poisson") return std::make_shared<ConjugatePoisson>(law, options, prior);
  if (law == "Normal" || law == "MultivariateNormal")
    return detail::conjugate_gaussian(law, options, std::move(prior));
  throw ConfigError(fmt::format("conjugate_family: '{}'; expected one of {}", law,
                                fmt::join(conjugate_laws(), ", ")));
}

}  // namespace elbo
