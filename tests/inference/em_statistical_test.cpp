// EM never loses likelihood: 1000 random problems over every component family.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "elbo/distributions/categorical.h"
#include "elbo/inference/mixture_fit.h"
#include "elbo/models/mixture.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kProblems = 1000, kIterations = 12, kCategories = 4;
constexpr double kTolerance = 1e-10;  // of |log L|, which rounding moves

/// Rows in the support of a family, in clusters.
at::Tensor rows_of(const std::string& family, int64_t n, int64_t d, const Noise& noise) {
  const auto cluster = at::arange(n, at::kLong).remainder(3);
  const auto real = noise.site("x").normal({n, d}, kDouble) +
                    2 * noise.site("centres").normal({3, d}, kDouble).index_select(0, cluster);
  if (family == "normal") return real;
  if (family == "bernoulli") return real.gt(0).to(at::kDouble);
  if (family == "categorical") return (2 + real).clamp(0, kCategories - 1).floor();
  if (family == "poisson" || family == "geometric") return (0.5 * real + 1).exp().floor();
  if (family == "beta" || family == "continuous-bernoulli") return real.sigmoid();
  if (family == "von-mises") return real.remainder(2 * M_PI) - M_PI;
  return (0.5 * real).exp();  // positive
}

struct Problem {
  explicit Problem(int64_t index) : noise(static_cast<uint64_t>(index)) {
    const auto u = noise.site("sizes").uniform({6}, kDouble);
    const auto pick = [&](int64_t i, int64_t low, int64_t high) {
      return low + static_cast<int64_t>(u[i].item<double>() * static_cast<double>(high - low + 1));
    };
    const auto families = mixture_families();
    config = {.data_dim = pick(0, 1, 10),
              .components = pick(1, 2, 8),
              .families = {families[static_cast<size_t>(index) % families.size()]},
              .covariance = static_cast<Covariance>(pick(2, 0, 3)),
              .categories = kCategories};
    const int64_t n = pick(3, 50, 500);
    x = rows_of(config.families[0], n, config.data_dim, noise);
    // Half the rows equal: components that meet their floors.
    if (pick(4, 0, 9) == 0) x.narrow(0, 0, n / 2).copy_(x[0].expand({n / 2, config.data_dim}));
    start = pick(5, 0, 3);
  }

  /// Starts EM: from clusters, from all but equal components, or with an empty one.
  void begin(Em& em) const {
    const int64_t k = config.components;
    start_mixture(em, stream_of(x), k, noise,
                  {.start = start == 0 ? MixtureStart::kKmeans : MixtureStart::kRandom});
    if (start < 2) return;
    em.start(stream_of(x), [&](const Batch& chunk) {
      const auto u = noise.site("u").rows(chunk.rows).uniform({1, chunk.size(), k}, kDouble);
      auto weights = (1 + 1e-6 * u[0].t()).contiguous();
      if (start == 3) weights[0].zero_();
      return weights / weights.sum(0, true);
    });
  }

  Noise noise;
  MixtureConfig config;
  at::Tensor x;
  int64_t start = 0;
};

/// The largest fall of the log likelihood in an iteration, relative to its size.
double largest_fall(const Problem& problem, const std::function<void(const Mixture&)>& after = {}) {
  const Mixture mixture(problem.config, kDouble);
  Em em(mixture.model(), mixture.m_steps(), {.chunk_rows = 200});
  problem.begin(em);
  double fall = 0, before = em.iterate(stream_of(problem.x));
  for (int64_t i = 1; i < kIterations; ++i) {
    if (after) after(mixture);
    const double now = em.iterate(stream_of(problem.x));
    if (!std::isfinite(now)) return INFINITY;
    fall = std::max(fall, (before - now) / std::max(1.0, std::abs(now)));
    before = now;
  }
  return fall;
}

TEST(EmStatistical, NeverLosesLikelihoodInAThousandProblems) {
  std::map<std::string, double> worst;
  for (int64_t index = 0; index < kProblems; ++index) {
    const Problem problem(index);
    const auto& family = problem.config.families[0];
    double fall = INFINITY;
    try {
      fall = largest_fall(problem);
    } catch (const Error& e) {
      ADD_FAILURE() << "problem " << index << ": " << family << ": " << e.what();
    }
    worst[family] = std::max(worst[family], fall);
    EXPECT_LE(fall, kTolerance) << "problem " << index << ": " << family << ", start "
                                << problem.start << ", covariance "
                                << static_cast<int>(problem.config.covariance);
  }
  EXPECT_EQ(worst.size(), mixture_families().size()) << "every family has its share";
  for (const auto& [family, fall] : worst) std::printf("%-22s %.1e\n", family.c_str(), fall);
}

/// Families whose rows are vectors, matrices, or counts out of a known number: not words of
/// `Mixture`, but components of a program like any other.
struct OtherFamily {
  std::string law;
  WeightedMleOptions options;
  std::function<at::Tensor(const at::Tensor& real)> rows;  ///< of [M, 3] in clusters
};

std::vector<OtherFamily> other_families() {
  const auto categories = [](const at::Tensor& real) {
    return at::one_hot(real.argmax(1), 3).to(at::kDouble);
  };
  const std::vector<int64_t> triple = {3};
  return {
      {"Dirichlet",
       {.event_shape = triple, .max_concentration = 1e5},
       [](const at::Tensor& x) { return x.softmax(1); }},
      {"OneHotCategorical", {.event_shape = triple, .probability_floor = 1e-10}, categories},
      {"Multinomial",
       {.event_shape = triple, .total_count = 4, .probability_floor = 1e-10},
       [=](const at::Tensor& x) { return categories(x) + 3 * categories(-x); }},
      {"Binomial",
       {.event_shape = triple, .total_count = 7, .probability_floor = 1e-10},
       [](const at::Tensor& x) { return (8 * x.sigmoid()).floor().clamp_max(7); }},
      {"NegativeBinomial",
       {.event_shape = triple, .total_count = 2.5, .mean_floor = 1e-10},
       [](const at::Tensor& x) { return (0.5 * x + 1).exp().floor(); }},
      {"Wishart",
       {.event_shape = {3, 3}},
       [](const at::Tensor& x) {
         return 0.3 * at::eye(3, kDouble) + x.unsqueeze(1) * x.unsqueeze(2);
       }},
  };
}

TEST(EmStatistical, NeverLosesLikelihoodOfVectorsAndCounts) {
  constexpr int64_t kEach = 15, kRows = 120;
  for (const auto& family : other_families()) {
    double worst = 0, gained = 0;
    for (int64_t index = 0; index < kEach; ++index) {
      const Noise noise(static_cast<uint64_t>(index));
      const int64_t k = 2 + index % 5;
      const auto x = family.rows(rows_of("normal", kRows, 3, noise));
      const auto fit = weighted_mle(family.law, family.options);
      auto weights = at::full({k}, 1.0 / static_cast<double>(k), kDouble);
      std::vector<at::Tensor> parameters;
      for (const auto& name : fit->parameter_names())
        parameters.push_back(at::zeros(name == "df"           ? std::vector<int64_t>{k}
                                       : name == "scale_tril" ? std::vector<int64_t>{k, 3, 3}
                                                              : std::vector<int64_t>{k, 3},
                                       kDouble));
      const Program model = [&](Trace& t, const Batch& b) {
        const auto data = t.plate("data", b.rows, b.total);
        const auto which = t.sample("k", Categorical(weights, Validate::kNo));
        std::vector<at::Tensor> chosen;
        for (const auto& p : parameters) chosen.push_back(p.index({which}));
        t.observe("x", *fit->law(chosen), b["x"]);
      };
      Em em(model,
            {{"k", weighted_mle("Categorical", {.num_categories = k}), {weights}},
             {"x", fit, parameters}},
            {.chunk_rows = 50});
      em.start(stream_of(x), [&](const Batch& chunk) {
        const auto u = noise.site("u").rows(chunk.rows).uniform({1, chunk.size(), k}, kDouble);
        return (3 * u[0].t()).softmax(0);
      });
      const double first = em.iterate(stream_of(x));
      double before = first;
      for (int64_t i = 1; i < kIterations; ++i) {
        const double now = em.iterate(stream_of(x));
        ASSERT_TRUE(std::isfinite(now)) << family.law << " " << index;
        worst = std::max(worst, (before - now) / std::max(1.0, std::abs(now)));
        before = now;
      }
      gained = std::max(gained, before - first);
    }
    EXPECT_LE(worst, kTolerance) << family.law;
    // One draw of a category a row: any weights that give the frequencies are the maximum.
    const bool already = family.law == "OneHotCategorical";
    EXPECT_GT(gained, already ? -1e-12 : 1e-3) << family.law << ": it learns";
    std::printf("%-22s %.1e\n", family.law.c_str(), worst);
  }
}

// Planted: a ridge added to covariances after the M step, and scales estimated with n - 1, as other
// libraries do. Either loses likelihood near the maximum.
TEST(EmStatistical, RejectsAnMStepThatIsNotTheMaximum) {
  int ridge = 0, bias = 0, problems = 0;
  for (int64_t index = 0; problems < 20; ++index) {
    Problem problem(index);
    if (problem.config.families[0] != "normal") continue;
    problem.config.covariance = Covariance::kDiagonal;
    ++problems;
    const auto changed = [&](double add, double times) {
      return largest_fall(problem, [&](const Mixture& mixture) {
        for (auto& [name, parameter] : named_parameters(mixture))
          if (name == "normal.scale") parameter.copy_((parameter.square() * times + add).sqrt());
      });
    };
    ridge += changed(1e-2, 1) > kTolerance ? 1 : 0;
    bias += changed(0, 1.05) > kTolerance ? 1 : 0;
  }
  EXPECT_GE(ridge, 10);
  EXPECT_GE(bias, 10);
}

}  // namespace
}  // namespace elbo
