#include "elbo/inference/dual_averaging.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/error.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
at::Tensor gaussian(const at::Tensor& u) { return -0.5 * u.square().sum(-1); }

TEST(DualAveraging, FollowsItsRecursion) {
  // One row by hand.
  const std::vector<double> acceptances = {0.2, 1.0, 0.97, 0.6, 0.88};
  DualAveraging adaptation(at::tensor({0.4, 0.4}, kDouble), 0.9);
  double error = 0, log_average = 0;
  for (size_t t = 1; t <= acceptances.size(); ++t) {
    const auto m = static_cast<double>(t);
    const double accepted = acceptances[t - 1];
    adaptation.update(at::tensor({accepted, 0.9}, kDouble));
    error = (1 - 1 / (m + 10)) * error + (0.9 - accepted) / (m + 10);
    const double log_step = std::log(0.4) - std::sqrt(m) / 0.2 * error;
    log_average = std::pow(m, -0.75) * log_step + (1 - std::pow(m, -0.75)) * log_average;
    EXPECT_NEAR(adaptation.step_size()[0].item<double>(), std::exp(log_step), 1e-13);
    EXPECT_NEAR(adaptation.averaged()[0].item<double>(), std::exp(log_average), 1e-13);
    EXPECT_NEAR(adaptation.averaged()[1].item<double>(), 0.4, 1e-13) << "a row at its target rests";
  }
}

TEST(DualAveraging, BringsEveryRowToItsTarget) {
  // Acceptances that fall with the step, e^(-c eps^2), each row at a scale of its own: the step
  // that belongs to 0.9 is known.
  const auto c = at::tensor({1e-2, 1., 1e2}, kDouble);
  DualAveraging adaptation(at::ones({3}, kDouble), 0.9);
  for (int t = 0; t < 2000; ++t) adaptation.update((-c * adaptation.step_size().square()).exp());
  const auto truth = (-std::log(0.9) / c).sqrt();
  EXPECT_LE((adaptation.averaged() / truth - 1).abs().max().item<double>(), 0.05);
}

TEST(DualAveraging, BeforeAnyTransitionItIsWhereItStarted) {
  const DualAveraging adaptation(at::tensor({0.3}, kDouble), 0.8);
  EXPECT_EQ(adaptation.step_size().item<double>(), 0.3);
  EXPECT_EQ(adaptation.averaged().item<double>(), 0.3);
  EXPECT_THROW(DualAveraging(at::ones({1}, kDouble), 1), ConfigError);
  EXPECT_THROW(DualAveraging(at::ones({1}, kDouble), 0), ConfigError);
}

TEST(DualAveraging, ReasonableStepsCrossOneHalfWhereverTheyStart) {
  const auto u = Noise(3).site("u").draws(20).normal({20, 4}, kDouble);
  const auto scales = at::pow(10., at::linspace(-3, 3, 20, kDouble)).unsqueeze(-1);
  const LogDensity scaled = [&](const at::Tensor& x) { return gaussian(x / scales); };
  const auto state = hmc_start(scaled, u * scales);
  const auto accepts = [&](const at::Tensor& step) {
    HmcState end = state;
    auto p = Noise(4).draws(20).site("momentum").normal({20, 4}, kDouble);
    const auto before = state.log_density - kinetic_energy(p, {});
    leapfrog(scaled, end, p, {step, {}, 1});
    return (end.log_density - kinetic_energy(p, {}) - before) > -std::log(2.0);
  };
  for (const double first : {1e-6, 1.0, 1e6}) {
    const auto found =
        reasonable_step_size(scaled, state, at::full({20}, first, kDouble), {}, Noise(4).draws(20));
    // From below it has just been refused, from above just been accepted.
    const auto at_found = accepts(found);
    const auto neighbour = accepts(at::where(at_found, 2 * found, 0.5 * found));
    EXPECT_TRUE((at_found != neighbour).all().item<bool>()) << first;
  }
}

}  // namespace
}  // namespace elbo
