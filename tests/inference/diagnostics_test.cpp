// Against tools/fixtures/diagnostics.py, which takes the definitions by another road.
#include "elbo/inference/diagnostics.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "elbo/error.h"
#include "elbo/kernels/noise.h"
#include "support/source_dir.h"

namespace elbo {
namespace {

nlohmann::json cases() {
  std::ifstream in(elbo::testing::source_dir() + "/tests/inference/fixtures/diagnostics.json");
  return nlohmann::json::parse(in).at("cases");
}

at::Tensor draws_of(const nlohmann::json& one) {
  std::vector<at::Tensor> chains;
  for (const auto& chain : one.at("draws"))
    chains.push_back(at::tensor(chain.get<std::vector<double>>(), at::kDouble));
  return at::stack(chains);
}

TEST(Diagnostics, AgreeWithTheReference) {
  using Diagnostic = at::Tensor (*)(const at::Tensor&);
  const std::pair<const char*, Diagnostic> all[] = {
      {"split_r_hat", split_r_hat},
      {"r_hat", r_hat},
      {"effective_sample_size", effective_sample_size},
      {"bulk_effective_sample_size", bulk_effective_sample_size},
      {"monte_carlo_error", monte_carlo_error}};
  const auto table = cases();
  ASSERT_EQ(table.size(), 10U);
  for (const auto& one : table)
    for (const auto& [name, diagnostic] : all) {
      const double truth = one.at(name);
      EXPECT_NEAR(diagnostic(draws_of(one)).item<double>(), truth, 1e-9 * truth)
          << name << " of " << one.at("name");
    }
}

TEST(Diagnostics, TakeEachQuantityAlone) {
  const auto draws = Noise(1).normal({3, 21, 2, 5}, at::kDouble).cumsum(1);
  const auto rhat = r_hat(draws), size = bulk_effective_sample_size(draws);
  ASSERT_EQ(rhat.sizes(), at::IntArrayRef({2, 5}));
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 5; ++j) {
      const auto one = draws.select(3, j).select(2, i);
      EXPECT_EQ(rhat[i][j].item<double>(), r_hat(one).item<double>());
      EXPECT_EQ(size[i][j].item<double>(), bulk_effective_sample_size(one).item<double>());
    }
}

TEST(Diagnostics, TellMixedChainsFromOthers) {
  const auto mixed = Noise(2).normal({4, 1000}, at::kDouble);
  EXPECT_LT(r_hat(mixed).item<double>(), 1.01);
  EXPECT_NEAR(effective_sample_size(mixed).item<double>(), 4000, 800);
  auto apart = mixed.clone();
  apart[0] += 1;
  EXPECT_GT(r_hat(apart).item<double>(), 1.05);
  auto wider = mixed.clone();
  wider[0] *= 3;
  EXPECT_LT(split_r_hat(wider).item<double>(), 1.01) << "their means agree";
  EXPECT_GT(r_hat(wider).item<double>(), 1.05);
}

TEST(Diagnostics, HaveNoneOfWhatDoesNotVary) {
  const auto constant = at::ones({2, 10}, at::kDouble);
  EXPECT_TRUE(std::isnan(r_hat(constant).item<double>()));
  EXPECT_TRUE(std::isnan(effective_sample_size(constant).item<double>()));
  auto infinite = Noise(1).normal({2, 10}, at::kDouble);
  infinite[1][3] = INFINITY;
  EXPECT_TRUE(std::isnan(bulk_effective_sample_size(infinite).item<double>()));
  EXPECT_THROW((void)r_hat(at::ones({10}, at::kDouble)), ShapeError);
  EXPECT_THROW((void)r_hat(at::ones({2, 3}, at::kDouble)), ShapeError);
}

}  // namespace
}  // namespace elbo
