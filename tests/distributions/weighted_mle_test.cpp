#include "elbo/distributions/weighted_mle.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "elbo/distributions.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
using Tensors = std::vector<at::Tensor>;

at::Tensor tensor(std::initializer_list<double> values) {
  return at::tensor(at::ArrayRef<double>(values.begin(), values.size()), kDouble);
}

/// A family, parameters to draw from (without the components' dimension), and what is not moved.
struct Case {
  std::string law;
  WeightedMleOptions options;
  Tensors parameters;
  std::set<std::string> not_differentiable = {};
};

at::Tensor positive_definite_root(int64_t d) {
  return at::eye(d, kDouble) + 0.3 * at::ones({d, d}, kDouble).tril(-1);
}

std::vector<Case> cases() {
  const std::vector<int64_t> pair = {2}, triple = {3};
  const auto two = [](double a, double b) { return tensor({a, b}); };
  WeightedMleOptions gaussian{.event_shape = triple};
  WeightedMleOptions spherical{.event_shape = triple, .shared_scale = SharedScale::kEvent};
  WeightedMleOptions tied{.event_shape = triple, .shared_scale = SharedScale::kComponents};
  const auto loc = tensor({1, -2, 0.5}), scale = tensor({0.5, 1, 3}),
             scales = at::ones({3}, kDouble);
  const auto root = positive_definite_root(3);
  return {
      {"Bernoulli", {.event_shape = pair}, {two(0.2, 0.9)}},
      {"Beta", {.event_shape = pair}, {two(0.4, 7), two(2, 3)}},
      {"Binomial",
       {.event_shape = pair, .total_count = 7},
       {two(7, 7), two(0.2, 0.6)},
       {"total_count"}},
      {"Categorical",
       {.event_shape = pair, .num_categories = 3},
       {at::stack({tensor({0.2, 0.5, 0.3}), tensor({0.7, 0.1, 0.2})})}},
      {"Chi2", {.event_shape = pair}, {two(0.8, 9)}},
      {"ContinuousBernoulli", {.event_shape = triple}, {tensor({0.1, 0.5, 0.97})}},
      {"Dirichlet", {.event_shape = triple}, {tensor({0.3, 2, 5})}},
      {"Erlang", {.event_shape = pair}, {two(1, 6), two(2, 0.3)}, {"shape"}},
      {"Exponential", {.event_shape = pair}, {two(0.1, 20)}},
      {"Gamma", {.event_shape = pair}, {two(0.3, 300), two(5, 2)}},
      {"Geometric", {.event_shape = pair}, {two(0.1, 0.8)}},
      {"HalfNormal", {.event_shape = pair}, {two(0.1, 4)}},
      {"InverseGamma", {.event_shape = pair}, {two(0.9, 12), two(5, 2)}},
      {"LogNormal", {.event_shape = pair}, {two(-1, 3), two(0.2, 1.5)}},
      {"Multinomial", {.event_shape = triple, .total_count = 9}, {tensor({0.2, 0.5, 0.3})}},
      {"MultivariateNormal", gaussian, {loc, root}},
      {"MultivariateNormal", tied, {loc, root}},
      {"NegativeBinomial",
       {.event_shape = pair, .total_count = 2.5},
       {two(2.5, 2.5), two(0.2, 0.9)},
       {"total_count"}},
      {"Normal", gaussian, {loc, scale}},
      {"Normal", spherical, {loc, scales}},
      {"Normal", tied, {loc, scales}},
      {"OneHotCategorical", {.event_shape = triple}, {tensor({0.2, 0.5, 0.3})}},
      {"Poisson", {.event_shape = pair}, {two(0.3, 40)}},
      {"Rayleigh", {.event_shape = pair}, {two(0.3, 4)}},
      {"VonMises", {.event_shape = pair}, {two(-2, 1), two(0.5, 50)}},
      {"Wishart", {.event_shape = {3, 3}}, {at::full({}, 5.5, kDouble), root}},
  };
}

std::string label(const Case& c) {
  return c.law + " " + std::to_string(static_cast<int>(c.options.shared_scale));
}

constexpr int64_t kRows = 400, kComponents = 3;

struct Drawn {
  explicit Drawn(const Case& c) : mle(weighted_mle(c.law, c.options)) {
    Tensors batch;
    for (const auto& p : c.parameters)
      batch.push_back(p.unsqueeze(0).expand([&] {
        auto s = p.sizes().vec();
        s.insert(s.begin(), kRows);
        return s;
      }()));
    const Noise noise(11);
    x = mle->law(batch)->sample(noise.site("x").rows(at::arange(kRows, at::kLong)));
    weights = noise.site("w").uniform({kComponents, kRows}, kDouble);
  }
  [[nodiscard]] at::Tensor log_likelihood(const Tensors& parameters) const {
    Tensors batch;
    for (const auto& p : parameters) batch.push_back(p.unsqueeze(1));
    return (weights * mle->law(batch)->log_prob(x)).sum();
  }
  std::shared_ptr<const WeightedMle> mle;
  at::Tensor x, weights;
};

/// Largest slope of the weighted log likelihood along a relative change of a parameter, per weight.
double largest_slope(const Case& c, const Drawn& drawn, const Tensors& at) {
  Tensors leaves, full;
  const auto names = drawn.mle->parameter_names();
  for (size_t i = 0; i < at.size(); ++i) {
    auto leaf = at[i];
    const bool is_scale = names[i].starts_with("scale");
    // A shared scale moves as one.
    if (is_scale && c.options.shared_scale == SharedScale::kComponents) leaf = leaf.narrow(0, 0, 1);
    if (is_scale && c.options.shared_scale == SharedScale::kEvent) leaf = leaf.narrow(1, 0, 1);
    leaf = leaf.detach().clone().set_requires_grad(!c.not_differentiable.contains(names[i]));
    leaves.push_back(leaf);
    full.push_back(leaf.expand_as(at[i]));
  }
  drawn.log_likelihood(full).backward();
  double largest = 0;
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (!leaves[i].requires_grad()) continue;
    auto slope = leaves[i].grad();
    if (names[i] == "scale_tril") slope = slope.tril();
    slope = slope * leaves[i].detach().abs().clamp_min(0.1) / drawn.weights.sum();
    largest = std::max(largest, slope.abs().max().item<double>());
  }
  return largest;
}

constexpr double kStationary = 1e-9;

TEST(WeightedMle, IsWhereTheLikelihoodIsLevel) {
  for (const Case& c : cases()) {
    const Drawn drawn(c);
    const auto found = drawn.mle->fit(drawn.mle->statistics(drawn.x, drawn.weights));
    EXPECT_LE(largest_slope(c, drawn, found), kStationary) << label(c);
    // The check itself: a parameter one part in 1000 away is not level.
    for (size_t i = 0; i < found.size(); ++i) {
      const auto name = drawn.mle->parameter_names()[i];
      if (c.not_differentiable.contains(name) || name == "probs") continue;
      auto wrong = found;
      wrong[i] = found[i] * 1.001 + 1e-4;
      if (name == "scale_tril") wrong[i] = wrong[i].tril();
      EXPECT_GT(largest_slope(c, drawn, wrong), kStationary) << label(c) << " " << name;
    }
  }
}

TEST(WeightedMle, HasTheHighestLikelihoodAround) {
  for (const Case& c : cases()) {
    const Drawn drawn(c);
    const auto found = drawn.mle->fit(drawn.mle->statistics(drawn.x, drawn.weights));
    const double best = drawn.log_likelihood(found).item<double>();
    const auto names = drawn.mle->parameter_names();
    for (uint64_t seed = 0; seed < 20; ++seed) {
      auto other = found;
      for (size_t i = 0; i < found.size(); ++i) {
        const auto change = Noise(seed).site(names[i]).normal(found[i].sizes(), kDouble);
        const bool counts = c.not_differentiable.contains(names[i]);
        if (names[i] == "total_count") continue;
        other[i] =
            counts ? (found[i] + change.sign()).clamp_min(1) : found[i] * (0.02 * change).exp();
        if (names[i] == "probs") other[i] = other[i].clamp_max(1 - 1e-9);
        // A shared scale is the best of those that are shared.
        if (names[i].starts_with("scale") && c.options.shared_scale != SharedScale::kNone)
          other[i] = found[i] * std::exp(0.02 * change.flatten()[0].item<double>());
      }
      EXPECT_LE(drawn.log_likelihood(other).item<double>(), best + 1e-9 * std::abs(best))
          << label(c) << " " << seed;
    }
  }
}

TEST(WeightedMle, TakesRowsInPieces) {
  for (const Case& c : cases()) {
    const Drawn drawn(c);
    const auto& mle = *drawn.mle;
    at::Tensor merged;
    for (int64_t first = 0; first < kRows; first += 37) {
      const int64_t count = std::min<int64_t>(37, kRows - first);
      const auto piece =
          mle.statistics(drawn.x.narrow(0, first, count), drawn.weights.narrow(1, first, count));
      merged = merged.defined() ? mle.merge(merged, piece) : piece;
    }
    const auto whole = mle.statistics(drawn.x, drawn.weights);
    EXPECT_LE(((merged - whole).abs() / whole.abs().clamp_min(1)).max().item<double>(), 1e-12)
        << label(c);
    // Twice each row is the same estimate.
    const auto once = mle.fit(whole), twice = mle.fit(mle.scale(whole, 2)),
               doubled = mle.fit(mle.merge(whole, whole));
    for (size_t i = 0; i < once.size(); ++i) {
      EXPECT_TRUE(at::allclose(once[i], twice[i], 1e-9, 1e-12)) << label(c);
      EXPECT_TRUE(at::allclose(once[i], doubled[i], 1e-9, 1e-12)) << label(c);
    }
  }
}

TEST(WeightedMle, KeepsParametersWhereThereIsNoWeight) {
  for (const Case& c : cases()) {
    const Drawn drawn(c);
    const auto& mle = *drawn.mle;
    const auto previous = mle.fit(mle.statistics(drawn.x, drawn.weights));
    auto weights = drawn.weights.clone();
    weights[1].zero_();
    const auto empty = mle.statistics(drawn.x, weights);
    const auto found = mle.fit(empty, previous);
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_TRUE(found[i].isfinite().all().item<bool>()) << label(c);
      EXPECT_TRUE(found[i][1].equal(previous[i][1])) << label(c);
      // Where scales are shared, the others' are what they are without it.
      const auto others = mle.statistics(drawn.x, weights.index_select(0, at::tensor({0, 2})));
      EXPECT_TRUE(at::allclose(found[i][2], mle.fit(others)[i][1], 1e-12, 1e-12)) << label(c);
    }
    EXPECT_THROW((void)mle.fit(empty), NumericError) << label(c);
  }
}

TEST(WeightedMle, IsMpmathsToTwelveDigits) {
  // Rows 0.3, 1.1, ... counted 1, 2, ... times; roots by mpmath with 40 digits.
  const auto x = tensor({0.3, 1.1, 2.5, 0.7, 4.0, 1.6});
  const auto w = tensor({1, 2, 3, 4, 5, 6}).unsqueeze(0);
  const auto expect = [&](const char* law, const at::Tensor& rows, std::vector<double> truth) {
    const auto mle = weighted_mle(law);
    const auto found = mle->fit(mle->statistics(rows, w));
    ASSERT_EQ(found.size(), truth.size());
    for (size_t i = 0; i < truth.size(); ++i)
      EXPECT_NEAR(found[i].item<double>(), truth[i], 1e-12 * std::abs(truth[i])) << law;
  };
  expect("Gamma", x, {2.3899336120249261, 1.1836935342576285});
  expect("Beta", x / 5, {1.3983080680317258, 1.9949266600730583});
  expect("VonMises", x, {1.6771554346334869, 0.91349309908198783});
  expect("Chi2", x, {2.5224700932390775});
  expect("ContinuousBernoulli", x / 5, {0.23489971261833335});
}

TEST(WeightedMle, FloorsAreTheBestWithinThem) {
  // A covariance with eigenvalues 4 and 0.01, the floor 0.25: the likelihood's maximum there.
  const auto axes = tensor({0.6, 0.8, -0.8, 0.6}).view({2, 2});
  const auto z = Noise(3).normal({500, 2}, kDouble);
  const auto x = (z * tensor({2, 0.1})).matmul(axes);
  const auto weights = at::ones({1, 500}, kDouble);
  const auto mle = weighted_mle("MultivariateNormal", {.event_shape = {2}, .variance_floor = 0.25});
  const auto found = mle->fit(mle->statistics(x, weights));
  const auto covariance = found[1][0].matmul(found[1][0].t());
  const auto eigenvalues = at::linalg_eigvalsh(covariance);
  EXPECT_NEAR(eigenvalues[0].item<double>(), 0.25, 1e-12);
  const auto value = [&](const at::Tensor& root) {
    return mle->law({found[0], root.unsqueeze(0)})->log_prob(x).sum().item<double>();
  };
  const double best = value(found[1][0]);
  int compared = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto other = (found[1][0] + 0.05 * Noise(seed).normal({2, 2}, kDouble)).tril();
    if (at::linalg_eigvalsh(other.matmul(other.t()))[0].item<double>() < 0.25) continue;
    EXPECT_LE(value(other), best + 1e-9);
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

TEST(WeightedMle, ProbabilitiesKeepTheirFloor) {
  const auto mle = weighted_mle("Categorical", {.num_categories = 4, .probability_floor = 0.1});
  // Counts 8, 1, 1, 0: one falls below the floor, and raising it takes two others with it.
  const auto x = tensor({0, 0, 0, 0, 0, 0, 0, 0, 1, 2});
  const auto probs = mle->fit(mle->statistics(x, at::ones({1, 10}, kDouble)))[0];
  EXPECT_TRUE(at::allclose(probs[0], tensor({0.7, 0.1, 0.1, 0.1}), 1e-14, 1e-14)) << probs;
}

TEST(WeightedMle, CollapsedRowsAreAnErrorOrMeetTheBound) {
  const auto x = at::full({10, 1}, 0.25, kDouble), weights = at::ones({1, 10}, kDouble);
  const auto fit = [&](const char* law, WeightedMleOptions options) {
    options.event_shape = {1};
    const auto mle = weighted_mle(law, options);
    return mle->fit(mle->statistics(x, weights));
  };
  for (const char* law :
       {"Normal", "LogNormal", "MultivariateNormal", "Gamma", "InverseGamma", "Beta", "VonMises"})
    EXPECT_THROW((void)fit(law, {}), NumericError) << law;
  EXPECT_NEAR(fit("Normal", {.variance_floor = 1e-4})[1].item<double>(), 1e-2, 1e-15);
  EXPECT_NEAR(fit("MultivariateNormal", {.variance_floor = 1e-4})[1].item<double>(), 1e-2, 1e-15);
  const auto gamma = fit("Gamma", {.max_concentration = 1e4});
  EXPECT_NEAR(gamma[0].item<double>(), 1e4, 1e-6);
  EXPECT_NEAR((gamma[0] / gamma[1]).item<double>(), 0.25, 1e-12);
  const auto beta = fit("Beta", {.max_concentration = 1e4});
  EXPECT_NEAR((beta[0] + beta[1]).item<double>(), 1e4, 1e-4);
  EXPECT_NEAR((beta[0] / (beta[0] + beta[1])).item<double>(), 0.25, 1e-4);
}

TEST(WeightedMle, KnowsTheClosedForms) {
  const auto x = tensor({1, 2, 4}), w = tensor({1, 1, 2}).unsqueeze(0);
  const auto fit = [&](const char* law) {
    const auto mle = weighted_mle(law);
    return mle->fit(mle->statistics(x, w));
  };
  EXPECT_NEAR(fit("Poisson")[0].item<double>(), 2.75, 1e-15);
  EXPECT_NEAR(fit("Exponential")[0].item<double>(), 1 / 2.75, 1e-15);
  EXPECT_NEAR(fit("Geometric")[0].item<double>(), 1 / 3.75, 1e-15);
  EXPECT_NEAR(fit("Normal")[0].item<double>(), 2.75, 1e-15);
  EXPECT_NEAR(fit("Normal")[1].item<double>(), std::sqrt(1.6875), 1e-14);
  EXPECT_NEAR(fit("HalfNormal")[0].item<double>(), std::sqrt(37.0 / 4), 1e-14);
}

TEST(WeightedMle, RejectsWhatItCannotTake) {
  EXPECT_THROW((void)weighted_mle("Cauchy"), ConfigError);
  EXPECT_THROW((void)weighted_mle("Binomial"), ConfigError);
  EXPECT_THROW((void)weighted_mle("MultivariateNormal"), ConfigError);
  EXPECT_THROW((void)weighted_mle("Normal", {.variance_floor = -1}), ConfigError);
  const auto mle = weighted_mle("Normal", {.event_shape = {2}});
  EXPECT_THROW((void)mle->statistics(at::zeros({5, 3}, kDouble), at::ones({1, 5}, kDouble)),
               ShapeError);
  const auto categories = weighted_mle("Categorical", {.num_categories = 3});
  EXPECT_THROW((void)categories->statistics(tensor({0, 3}), at::ones({1, 2}, kDouble)),
               DomainError);
  const auto poisson = weighted_mle("Poisson");
  EXPECT_THROW((void)poisson->fit(poisson->statistics(tensor({1, NAN}), at::ones({1, 2}, kDouble))),
               NumericError);
}

TEST(WeightedMle, NamesWhatItHas) {
  std::set<std::string> tested;
  for (const Case& c : cases()) tested.insert(c.law);
  const auto names = weighted_mle_laws();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), tested);
}

}  // namespace
}  // namespace elbo
