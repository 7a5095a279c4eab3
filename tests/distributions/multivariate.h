// What laws over vectors and matrices are held to: tests/distributions/fixtures/multivariate.json,
// shapes, gradients by differences, moments of draws.
#pragma once

#include <cstdlib>
#include <iostream>

#include "distributions/table.h"
#include "support/source_dir.h"
#include "support/statistics.h"

namespace elbo::testing {

inline constexpr size_t kMinPairs = 200;
/// Draws for the comparison of moments: an error of 6.11 / sqrt(n) standard deviations, 2 %, shows.
inline constexpr int64_t kMomentDraws = 100'000;

inline const json& multivariate_fixtures() {
  static const json fixtures = [] {
    std::ifstream in(elbo::testing::source_dir() +
                     "/tests/distributions/fixtures/multivariate.json");
    return json::parse(in);
  }();
  return fixtures;
}

/// A number or nested lists of them.
inline at::Tensor tensor_of(const json& value, at::ScalarType type = at::kDouble) {
  if (!value.is_array()) return at::full({}, number(value), type);
  std::vector<at::Tensor> parts;
  for (const json& part : value) parts.push_back(tensor_of(part, type));
  return at::stack(parts);
}

inline at::Tensor values(std::vector<double> v, at::IntArrayRef shape) {
  return at::tensor(v, at::kDouble).reshape(shape);
}

/// |a - b| / max(1, |b|), 0 where equal (also as inf or NaN).
inline double deviation(const at::Tensor& got, const at::Tensor& expected) {
  const auto a = got.to(at::kDouble), b = expected.to(at::kDouble);
  const auto same = a.eq(b).logical_or(a.isnan().logical_and(b.isnan()));
  const auto off = ((a - b).abs() / b.abs().clamp_min(1)).masked_fill(same, 0);
  return at::nan_to_num(off, 1e300, 1e300).max().item<double>();
}

/// Compares the law made from each row's parameters with the row, in both precisions. The points
/// of a row go in as one sample, and one by one.
inline void expect_multivariate_table(
    const char* law,
    const std::function<DistributionPtr(const json& params, at::ScalarType type)>& make) {
  const json& rows = multivariate_fixtures().at(law);
  for (const auto type : {at::kDouble, at::kFloat}) {
    const double tolerance = type == at::kDouble ? kTableTolerance : kSingleTolerance;
    double worst = 0;
    size_t pairs = 0;
    const auto expect = [&](const char* what, const json& row, const at::Tensor& got,
                            const at::Tensor& expected) {
      ASSERT_EQ(got.sizes(), expected.sizes()) << law << " " << what;
      if (got.is_floating_point()) {
        EXPECT_EQ(got.scalar_type(), type);
      }
      const double off = deviation(got, expected);
      EXPECT_LE(off, tolerance) << law << row.at("params") << " " << what << "\n"
                                << got << "\nexpected\n"
                                << expected;
      worst = std::max(worst, off);
    };
    for (const json& row : rows) {
      const auto distribution = make(row.at("params"), type);
      const auto column = [&](const char* records, const char* key, at::ScalarType kind) {
        std::vector<at::Tensor> cells;
        for (const json& record : row.at(records)) cells.push_back(tensor_of(record.at(key), kind));
        return at::stack(cells);
      };
      const auto x = column("points", "x", type);
      pairs += row.at("points").size();
      for (const auto& [name, method] : kOfX)
        if (row.at("points")[0].contains(name))
          expect(name, row, ((*distribution).*method)(x), column("points", name, at::kDouble));
      expect("log_prob", row, distribution->log_prob(x[0]),
             column("points", "log_prob", at::kDouble)[0]);
      if (row.contains("quantiles"))
        expect("icdf", row, distribution->icdf(column("quantiles", "u", type)),
               column("quantiles", "icdf", at::kDouble));
      for (const auto& [name, method] : kOfParameters)
        if (row.contains(name))
          expect(name, row, ((*distribution).*method)(), tensor_of(row.at(name)));
    }
    EXPECT_GE(pairs, kMinPairs);
    if (std::getenv("ELBO_PRINT_WORST") != nullptr)
      std::cout << "worst " << law << " " << type << " " << worst << "\n";
  }
}

/// Draws, densities and expansions have the shapes S + B + E and S + B.
inline void expect_shapes(const Distribution& law, const std::vector<int64_t>& batch,
                          const std::vector<int64_t>& event) {
  const auto joined = [](std::vector<int64_t> a, const std::vector<int64_t>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  EXPECT_EQ(law.batch_shape(), batch);
  EXPECT_EQ(law.event_shape(), event);
  const auto x = law.sample(Noise(1), {5, 2});
  EXPECT_EQ(x.sizes().vec(), joined({5, 2}, joined(batch, event)));
  EXPECT_FALSE(x.requires_grad());
  const auto densities = law.log_prob(x);
  EXPECT_EQ(densities.sizes().vec(), joined({5, 2}, batch));
  EXPECT_TRUE(densities.isfinite().all().item<bool>()) << densities;
  EXPECT_TRUE(law.support().check(x).all().item<bool>());
  EXPECT_LE(deviation(law.log_prob(x[3][1]), densities[3][1]), 1e-12);
  if (law.has_rsample()) {
    EXPECT_TRUE(law.rsample(Noise(1), {5, 2}).equal(x)) << "sample is rsample without gradient";
  }
  EXPECT_FALSE(law.sample(Noise(2), {5, 2}).equal(x)) << "another seed, another draw";

  const auto wide = law.expand(joined({6}, batch));
  EXPECT_EQ(wide->name(), law.name());
  EXPECT_EQ(wide->batch_shape(), joined({6}, batch));
  EXPECT_EQ(wide->event_shape(), event);
  EXPECT_EQ(wide->sample(Noise(1)).sizes().vec(), joined({6}, joined(batch, event)));
  EXPECT_LE(deviation(wide->log_prob(x[0][0])[5], densities[0][0]), 1e-12);
  const auto copy = law.clone();
  EXPECT_EQ(copy->name(), law.name());
  EXPECT_TRUE(copy->sample(Noise(1), {5, 2}).equal(x));

  auto wrong = event;
  if (!wrong.empty()) {
    wrong.back() += 1;
    EXPECT_THROW((void)law.log_prob(at::ones(wrong, at::kDouble)), ShapeError);
  }
}

/// The mean and the variance of each coordinate of draws, for a law without batch shape.
inline void expect_moments(const Distribution& law, const at::Tensor& mean,
                           const at::Tensor& variance) {
  const auto x = law.sample(Noise(7).draws(kMomentDraws), {kMomentDraws}).flatten(1);
  const auto m = mean.expand(law.event_shape()).flatten();
  const auto v = variance.expand(law.event_shape()).flatten();
  for (int64_t i = 0; i < x.size(1); ++i) {
    const auto draws = x.select(1, i);
    const double truth = m[i].item<double>(), spread = v[i].item<double>();
    if (spread == 0) {
      EXPECT_TRUE(draws.eq(truth).all().item<bool>()) << law.name() << " coordinate " << i;
      continue;
    }
    EXPECT_LE(estimate(draws).z(truth), kZStar) << law.name() << " coordinate " << i;
    EXPECT_LE(estimate_variance(draws).z(spread), kZStar) << law.name() << " coordinate " << i;
    EXPECT_GT(estimate(draws).z(truth + 0.04 * std::sqrt(spread)), kZStar) << "planted";
  }
}
inline void expect_moments(const Distribution& law) {
  expect_moments(law, law.mean(), law.variance());
}

/// E[-log p] of draws is the entropy.
inline void expect_entropy(const Distribution& law) {
  const auto x = law.sample(Noise(8).draws(kMomentDraws), {kMomentDraws});
  const auto surprise = estimate(-law.log_prob(x));
  EXPECT_LE(surprise.z(law.entropy().item<double>()), kZStar) << law.name();
}

inline void expect_gradients(const std::vector<TensorFunction>& functions,
                             const std::vector<at::Tensor>& inputs) {
  for (size_t i = 0; i < functions.size(); ++i)
    EXPECT_LE(gradient_error(functions[i], inputs), kGradientTolerance) << "function " << i;
}

/// A Cholesky factor from any square matrices.
inline at::Tensor tril_of(const at::Tensor& raw) {
  return raw.tril(-1) + at::diag_embed(raw.diagonal(0, -2, -1).exp());
}

}  // namespace elbo::testing
