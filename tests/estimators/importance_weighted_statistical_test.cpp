// The importance-weighted bound in the mean. Seeds are fixed; false alarm 1e-9 a comparison
// (z* = 6.11), 1e-6 for all comparisons of the suite.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/estimators/importance_weighted.h"
#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

constexpr double kX = 1.3, kMean = 0.2, kScale = 0.9;

Estimate bound(int64_t k, int64_t rows) {
  const auto x = at::full({rows}, kX, at::kDouble);
  const at::NoGradGuard no_grad;
  return estimate(ImportanceWeighted{k}(toy_model, toy_guide(kMean * one(), kScale * one()),
                                        batch_of(x), Noise(61))
                      .rows()
                      .flatten());
}

TEST(ImportanceWeightedStatistical, StaysBelowTheEvidenceAndRises) {
  const double evidence = toy_evidence(kX);
  double before = -INFINITY;
  for (const int64_t k : {1, 2, 5, 20, 100, 1000}) {
    const auto got = bound(k, 2'000'000 / k);
    EXPECT_LE(got.mean, evidence + kZStar * got.standard_error) << k;
    EXPECT_GE(got.mean, before - kZStar * got.standard_error) << k;
    before = got.mean;
  }
  EXPECT_NEAR(bound(1, 1'000'000).mean, toy_elbo(kX, kMean, kScale), 0.02);
}

TEST(ImportanceWeightedStatistical, TheGapFallsAsTheWeightsVarianceOverK) {
  // k (log p - E L_k) -> Var[w / p] / 2 (Domke and Sheldon 2018): 0.14846 here, by quadrature.
  // At k = 50 the next term is about 5 % of it.
  const int64_t k = 50;
  const auto got = bound(k, 400'000);
  const double gap = static_cast<double>(k) * (toy_evidence(kX) - got.mean);
  const double error = static_cast<double>(k) * got.standard_error;
  EXPECT_LE(std::abs(gap - 0.14846), kZStar * error + 0.01) << gap << " +- " << error;
  EXPECT_GT(std::abs(gap - 2 * 0.14846), kZStar * error + 0.01) << "planted: the whole variance";
}

}  // namespace
}  // namespace elbo
