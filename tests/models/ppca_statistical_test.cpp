// The linear VAE by draws: SGVB-B, L = 1, minibatches of 100.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/inference/aevb.h"
#include "elbo/models/ppca.h"
#include "models/ppca.h"

namespace elbo {
namespace {

using namespace testing;

TEST(PpcaStatistical, TheLinearVaeByDrawsIsWithinTwoThousandths) {
  constexpr int64_t kRows = 1000, kBatch = 100;
  constexpr int kSteps = 60000;
  const auto x = linear_rows(kRows);
  const double optimum = ppca_optimum(x);
  const Ppca model(
      {.data_dim = kColumns, .latent_dim = kLatent, .guide = PpcaConfig::Guide::kLinear},
      at::kDouble);
  initialise_model(model, nn::Init::kXavier, 3);
  FlatParameters parameters(model.parameters());
  auto optimizer = make_optimizer("adam", parameters, 0.01);
  Optimizer& rate = *optimizer;
  Aevb learner(model.model(), model.guide(), std::move(parameters), std::move(optimizer));
  double early = 0;
  for (int i = 0; i < kSteps; ++i) {
    rate.lr = 0.005 * (1 + std::cos(M_PI * i / kSteps));
    const int64_t first = i * kBatch % kRows;
    const Batch batch{.columns = {{"x", x.narrow(0, first, kBatch)}},
                      .rows = at::arange(first, first + kBatch, at::kLong),
                      .total = kRows};
    (void)learner.step(batch, Noise(0, static_cast<uint64_t>(i)));
    if (i == 1000) {
      const at::NoGradGuard no_grad;
      early = model.bound(x).mean().item<double>();
    }
  }
  const at::NoGradGuard no_grad;
  const double bound = model.bound(x).mean().item<double>();
  EXPECT_GE(bound, optimum - 2e-3);
  EXPECT_LE(model.marginal(x).mean().item<double>(), optimum + 1e-9);
  const double angle = largest_angle(model.linear_gaussian().weight, principal_axes(x));
  std::printf("gap %.1e nats, angle %.1e rad\n", optimum - bound, angle);
  EXPECT_GT(optimum - early, 2e-3) << "an early stop is caught";
}

}  // namespace
}  // namespace elbo
