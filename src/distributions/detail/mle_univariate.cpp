#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "distributions/detail/mle.h"
#include "elbo/distributions/registry.h"
#include "elbo/kernels/math.h"

namespace elbo::detail {
namespace {

using Tensors = std::vector<at::Tensor>;

/// A law on the line by its sufficient statistics and its maximum from their weighted means.
struct Family {
  std::function<Tensors(const at::Tensor& x)> statistics;
  std::function<Tensors(const Tensors& means, const WeightedMleOptions&)> maximum;
  bool has_total_count = false;
};

at::Tensor held(const at::Tensor& probs, const WeightedMleOptions& o) {
  return probs.clamp(o.probability_floor, 1 - o.probability_floor);
}

at::Tensor total_count(const at::Tensor& like, const WeightedMleOptions& o) {
  return at::full_like(like, o.total_count);
}

Tensors itself(const at::Tensor& x) { return {x}; }

/// concentration, rate
Tensors gamma(const at::Tensor& mean, const at::Tensor& mean_log, const WeightedMleOptions& o) {
  const auto a = gamma_concentration(mean.log() - mean_log, o.max_concentration);
  return {a, a / mean};
}

/// The better of the whole numbers around the Gamma law's concentration: the likelihood is concave.
Tensors erlang(const at::Tensor& mean, const at::Tensor& mean_log, const WeightedMleOptions& o) {
  const auto real = gamma_concentration(mean.log() - mean_log, o.max_concentration);
  const auto value = [&](const at::Tensor& a) {
    return a * (a / mean).log() - at::lgamma(a) + (a - 1) * mean_log - a;
  };
  const auto below = real.floor().clamp_min(1), above = (below + 1).clamp_max(o.max_concentration);
  const auto shape = at::where(value(above) > value(below), above, below);
  return {shape, shape / mean};
}

/// probs of logit y: its mean is 1/2 + (coth(y / 2) - 2 / y) / 2.
at::Tensor continuous_bernoulli(const at::Tensor& mean, const WeightedMleOptions& o) {
  constexpr double kInside = 1e-15;  // where probs and 1 - probs are both positive numbers
  const auto beyond = (mean - 0.5).abs();
  const auto f = [&](const at::Tensor& y) {
    const auto h = 0.5 * y, w = h.square();
    const auto near = w < 0.04;
    const auto far = at::where(near, at::ones_like(h), h);
    const auto mean_near = h * (1.0 / 3 - w * (1.0 / 45 - w * (2.0 / 945 - w / 4725)));
    const auto slope_near = 1.0 / 3 - w * (1.0 / 15 - w * (2.0 / 189 - w / 675));
    const auto mean_at = at::where(near, mean_near, far.tanh().reciprocal() - far.reciprocal());
    const auto slope =
        at::where(near, slope_near, far.square().reciprocal() - far.sinh().square().reciprocal());
    return std::pair(0.5 * mean_at - beyond, 0.25 * slope);
  };
  const auto logit = root(f, 12 * beyond, 1e-12, 1e300);
  const double floor = std::max(o.probability_floor, kInside);
  const auto probs = at::sigmoid(at::where(mean > 0.5, logit, -logit)).clamp(floor, 1 - floor);
  if (o.probability_floor > 0) return probs;
  return at::where(beyond < 0.5, probs, at::full_like(probs, NAN));
}

/// loc, concentration
Tensors von_mises(const at::Tensor& cosine, const at::Tensor& sine, const WeightedMleOptions& o) {
  const auto length = (cosine.square() + sine.square()).sqrt().clamp_max(1);
  const auto f = [&](const at::Tensor& k) {
    const auto a = math::i1_over_i0(k);
    return std::pair(a - length, 1 - a / k - a * a);
  };
  const auto start = length * (2 - length.square()) / (1 - length.square()).clamp_min(1e-15);
  const auto k = root(f, start, 1e-12, o.max_concentration);
  return {at::atan2(sine, cosine), or_unbounded(k, o.max_concentration)};
}

const std::map<std::string, Family>& families() {
  using Options = WeightedMleOptions;
  const auto log_and_itself = [](const at::Tensor& x) { return Tensors{x, x.log()}; };
  const auto squares = [](const at::Tensor& x) { return Tensors{x.square()}; };
  static const std::map<std::string, Family> table = {
      {"Bernoulli",
       {itself, [](const Tensors& m, const Options& o) { return Tensors{held(m[0], o)}; }}},
      {"Beta",
       {[](const at::Tensor& x) {
          return Tensors{x.log(), (-x).log1p()};
        },
        [](const Tensors& m, const Options& o) {
          const auto a = dirichlet_concentration(at::stack({m[0], m[1]}, -1), o.max_concentration);
          return Tensors{a.select(-1, 0), a.select(-1, 1)};
        }}},
      {"Binomial",
       {itself,
        [](const Tensors& m, const Options& o) {
          return Tensors{total_count(m[0], o), held(m[0] / o.total_count, o)};
        },
        true}},
      {"Chi2",
       {[](const at::Tensor& x) { return Tensors{x.log()}; },
        [](const Tensors& m, const Options&) {
          return Tensors{2 * inverse_digamma(m[0] - std::log(2.0))};
        }}},
      {"ContinuousBernoulli",
       {itself,
        [](const Tensors& m, const Options& o) { return Tensors{continuous_bernoulli(m[0], o)}; }}},
      {"Erlang",
       {log_and_itself, [](const Tensors& m, const Options& o) { return erlang(m[0], m[1], o); }}},
      {"Exponential",
       {itself,
        [](const Tensors& m, const Options& o) {
          return Tensors{m[0].clamp_min(o.mean_floor).reciprocal()};
        }}},
      {"Gamma",
       {log_and_itself, [](const Tensors& m, const Options& o) { return gamma(m[0], m[1], o); }}},
      {"Geometric",
       {itself,
        [](const Tensors& m, const Options& o) {
          return Tensors{(1 + m[0]).reciprocal().clamp_min(o.probability_floor)};
        }}},
      {"HalfNormal",
       {squares,
        [](const Tensors& m, const Options& o) {
          return Tensors{m[0].clamp_min(o.variance_floor).sqrt()};
        }}},
      {"InverseGamma",  // 1 / x has the Gamma law of these parameters
       {[](const at::Tensor& x) {
          return Tensors{x.reciprocal(), -x.log()};
        },
        [](const Tensors& m, const Options& o) { return gamma(m[0], m[1], o); }}},
      {"NegativeBinomial",
       {itself,
        [](const Tensors& m, const Options& o) {
          const auto mean = m[0].clamp_min(o.mean_floor);
          return Tensors{total_count(mean, o), mean / (o.total_count + mean)};
        },
        true}},
      {"Poisson",
       {itself,
        [](const Tensors& m, const Options& o) { return Tensors{m[0].clamp_min(o.mean_floor)}; }}},
      {"Rayleigh",
       {squares,
        [](const Tensors& m, const Options& o) {
          return Tensors{(0.5 * m[0]).clamp_min(o.variance_floor).sqrt()};
        }}},
      {"VonMises",
       {[](const at::Tensor& x) {
          return Tensors{x.cos(), x.sin()};
        },
        [](const Tensors& m, const Options& o) { return von_mises(m[0], m[1], o); }}},
  };
  return table;
}

const LawInfo& info(const std::string& name) {
  for (const LawInfo& law : univariate_laws())
    if (law.name == name) return law;
  throw ConfigError("weighted_mle: no law " + name);
}

class UnivariateMle final : public WeightedMle {
 public:
  UnivariateMle(const std::string& name, const Family& family, const WeightedMleOptions& options)
      : WeightedMle(name, options), family_(family), info_(info(name)) {
    if (family.has_total_count && !(options.total_count > 0))
      throw ConfigError("weighted_mle: " + name + " needs its total_count; expected > 0");
  }

  [[nodiscard]] DistributionPtr law(const Tensors& parameters) const override {
    const auto dims = static_cast<int64_t>(options().event_shape.size());
    auto base = info_.make(parameters, Validate::kNo);
    return dims == 0 ? base : std::make_shared<Independent>(base, dims);
  }
  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    std::vector<std::string> names;
    for (const Parameter& parameter : info_.parameters) names.emplace_back(parameter.name);
    return names;
  }

 private:
  [[nodiscard]] at::Tensor sums(const at::Tensor& x, const at::Tensor& weights) const override {
    Tensors parts = {at::ones({x.size(0), 1}, x.options())};
    for (auto& statistic : family_.statistics(x)) parts.push_back(statistic);
    return weights.matmul(at::cat(parts, 1));
  }
  [[nodiscard]] Tensors maximum(const at::Tensor& statistics) const override {
    const int64_t width = numel(options().event_shape);
    const auto weight = columns(statistics, 0, 1);
    Tensors means;
    for (int64_t from = 1; from < statistics.size(1); from += width)
      means.push_back(columns(statistics, from, width) / weight);
    auto out = family_.maximum(means, options());
    for (auto& parameter : out)
      parameter = parameter.reshape(batch_and(statistics.size(0), options().event_shape));
    return out;
  }

  const Family& family_;
  const LawInfo& info_;
};

}  // namespace

MlePtr univariate_mle(const std::string& law, const WeightedMleOptions& options) {
  const auto it = families().find(law);
  return it == families().end() ? nullptr
                                : std::make_shared<UnivariateMle>(law, it->second, options);
}

std::vector<std::string> univariate_mle_laws() {
  std::vector<std::string> names;
  for (const auto& [name, family] : families()) names.push_back(name);
  return names;
}

}  // namespace elbo::detail
