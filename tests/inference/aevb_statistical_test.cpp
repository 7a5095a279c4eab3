// A linear-Gaussian VAE learns probabilistic PCA, whose maximum likelihood is known in closed form.
// One run of 60 000 minibatches of 100 with a fixed seed; its gap to the optimum has been 1.4e-4
// nats per datum, the limit is 2e-3. No draw enters the comparison but through training.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/inference/aevb.h"
#include "inference/linear_vae.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kWidth = 10, kLatent = 3, kRows = 1000, kBatchSize = 100;
constexpr int64_t kSteps = 60'000;
constexpr double kGapLimit = 2e-3;
const auto kDouble = at::TensorOptions(at::kDouble);

TEST(AevbStatistical, LinearVaeReachesTheMaximumLikelihoodOfPca) {
  const auto x = linear_data(kRows, kWidth, kLatent);
  const LinearVae vae(kWidth, kLatent);
  auto parameters = vae.parameters();
  Aevb aevb(vae.model(), vae.guide(), parameters, std::make_unique<Adam>(parameters, 0));
  const double best = ppca_optimum(x, kLatent);
  const auto expect_ordered = [&] {
    EXPECT_LE(vae.elbo(x), vae.marginal(x) + 1e-9);
    EXPECT_LE(vae.marginal(x), best + 1e-9);
  };
  expect_ordered();
  EXPECT_GT(best - vae.elbo(x), 1) << "the start must lie outside of the tolerance";
  const auto full = batch_of(x);
  for (int64_t t = 0; t < kSteps; ++t) {
    const double progress = static_cast<double>(t) / kSteps;
    aevb.optimizer().lr = 1e-2 * 0.5 * (1 + std::cos(std::numbers::pi * progress));
    const Noise noise(63, static_cast<uint64_t>(t));
    const auto rows = (noise.site("rows").uniform({kBatchSize}, kDouble) * kRows).to(at::kLong);
    (void)aevb.step(subset(full, rows), noise);
    if (t == kSteps / 100) {
      EXPECT_GT(best - vae.elbo(x), kGapLimit) << "an early stop is seen";
    }
    if (t % 10'000 == 0) expect_ordered();
  }
  expect_ordered();
  std::cout << "gap to the optimum: " << best - vae.elbo(x) << " nats per datum\n";
  EXPECT_LE(best - vae.elbo(x), kGapLimit);
}

}  // namespace
}  // namespace elbo
