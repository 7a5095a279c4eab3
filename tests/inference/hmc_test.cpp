// What one transition must satisfy exactly: reversibility, volume, second order, and its own
// arithmetic. Whether it leaves a law invariant is asked in hmc_statistical_test.cpp.
#include "elbo/inference/hmc.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "elbo/error.h"

namespace elbo {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const auto kDouble = at::TensorOptions(at::kDouble);

/// Curved, and of another scale in each dimension.
at::Tensor banana(const at::Tensor& u) {
  const auto x = u.select(-1, 0), y = u.select(-1, 1), z = u.select(-1, 2);
  return -0.5 * x.square() - 2 * (y - 0.5 * x.square()).square() - 0.3 * z.pow(4) + (x * z).sin();
}
at::Tensor gaussian(const at::Tensor& u) { return -0.5 * u.square().sum(-1); }

at::Tensor points(int64_t rows, int64_t dim = 3) {
  return Noise(21).site("points").draws(rows).normal({rows, dim}, kDouble);
}
at::Tensor momenta(int64_t rows, int64_t dim = 3) {
  return Noise(21).site("momenta").draws(rows).normal({rows, dim}, kDouble);
}
at::Tensor number(double x) { return at::tensor({x}, kDouble); }

const auto kMass = at::tensor({0.7, 1.6, 2.3}, kDouble);
/// Whole matrices, one a row.
at::Tensor dense(int64_t rows, int64_t dim = 3) {
  const auto root = Noise(22).draws(rows).normal({rows, dim, dim}, kDouble);
  return root.matmul(root.transpose(-2, -1)) / static_cast<double>(dim) +
         0.3 * at::eye(dim, kDouble);
}

TEST(Leapfrog, IsReversible) {
  const auto u = points(50), p = momenta(50);
  for (const auto& mass : {kMass, dense(50)}) {
    const HmcStep step{number(0.07), mass, 25};
    auto state = hmc_start(banana, u);
    auto momentum = p;
    leapfrog(banana, state, momentum, step);
    EXPECT_GT((state.position - u).abs().max().item<double>(), 1) << "it has moved";
    momentum = -momentum;
    leapfrog(banana, state, momentum, step);
    EXPECT_LE((state.position - u).abs().max().item<double>(), 1e-10);
    EXPECT_LE((momentum + p).abs().max().item<double>(), 1e-10);
  }
}

TEST(Hmc, DenseMassOfADiagonalIsThatDiagonal) {
  const auto p = momenta(7);
  const auto matrices = at::diag_embed(kMass).expand({7, 3, 3});
  EXPECT_TRUE(velocity(p, matrices).allclose(velocity(p, kMass), 0, 1e-14));
  EXPECT_TRUE(momentum_of(p, matrices).allclose(momentum_of(p, kMass), 0, 1e-14));
  EXPECT_TRUE(kinetic_energy(p, matrices).allclose(kinetic_energy(p, kMass), 0, 1e-14));
  // Of any matrix, p = A e has the covariance M = A A^T, the inverse of the one given.
  const auto inverse = dense(1);
  const auto columns = at::eye(3, kDouble), a = momentum_of(columns, inverse.expand({3, 3, 3})).t();
  EXPECT_TRUE(a.matmul(a.t()).matmul(inverse[0]).allclose(columns, 0, 1e-12));
}

/// log |det| of the map of (position, momentum) at one point, by differences of eighth order, all
/// of them rows of one batch.
double log_abs_det(const HmcStep& step, const at::Tensor& u, const at::Tensor& p) {
  constexpr double kH = 1e-2;
  const std::vector<double> places = {-4, -3, -2, -1, 1, 2, 3, 4};
  const std::vector<double> weights = {1. / 280, -4. / 105, 1. / 5,   -4. / 5,
                                       4. / 5,   -1. / 5,   4. / 105, -1. / 280};
  const auto x = at::cat({u, p}, -1);
  const int64_t n = x.size(-1), d = n / 2;
  const auto h = kH * at::tensor(places, kDouble);
  const auto shifts = h.view({-1, 1, 1}) * at::eye(n, kDouble);
  const auto all = (x + shifts).view({-1, n});
  auto state = hmc_start(banana, all.narrow(1, 0, d));
  auto momentum = all.narrow(1, d, d);
  leapfrog(banana, state, momentum, step);
  const auto ends = at::cat({state.position, momentum}, -1).view({-1, n, n});
  const auto jacobian = (at::tensor(weights, kDouble).view({-1, 1, 1}) * ends).sum(0) / kH;
  return at::logdet(jacobian.matmul(jacobian.t())).item<double>() / 2;
}

TEST(Leapfrog, KeepsVolume) {
  const HmcStep step{number(0.05), kMass, 5};
  const auto u = points(5), p = momenta(5);
  for (int64_t r = 0; r < 5; ++r)
    EXPECT_NEAR(log_abs_det(step, u.narrow(0, r, 1), p.narrow(0, r, 1)), 0, 1e-9) << r;
}

/// Root mean square of H(end) - H(start) over 200 paths of length 1.
double energy_error(double epsilon) {
  const auto u = points(200), p = momenta(200);
  auto state = hmc_start(banana, u);
  auto momentum = p;
  const auto start = kinetic_energy(p, kMass) - state.log_density;
  const auto steps = static_cast<int64_t>(std::lround(1 / epsilon));
  leapfrog(banana, state, momentum, {number(epsilon), kMass, steps});
  const auto error = kinetic_energy(momentum, kMass) - state.log_density - start;
  return error.square().mean().sqrt().item<double>();
}

TEST(Leapfrog, EnergyErrorIsOfSecondOrder) {
  for (const double epsilon : {1. / 256, 1. / 512, 1. / 1024}) {
    const double slope = std::log2(energy_error(epsilon) / energy_error(epsilon / 2));
    EXPECT_NEAR(slope, 2, 0.05) << epsilon;
  }
}

TEST(Leapfrog, EvaluatesOnceAStepAndRowsMoveAtTheirOwnSteps) {
  int evaluations = 0;
  const LogDensity counted = [&](const at::Tensor& u) {
    ++evaluations;
    return gaussian(u);
  };
  // Of the harmonic oscillator a step is u' = u + eps m p - eps^2 m u / 2 (m the inverse mass).
  const auto u = points(2, 1), epsilon = at::tensor({0.1, 0.3}, kDouble);
  const auto p = momenta(2, 1), mass = at::tensor({2., 5.}, kDouble).view({2, 1});
  auto state = hmc_start(counted, u);
  auto momentum = p;
  leapfrog(counted, state, momentum, {epsilon, mass, 1});
  const auto e = epsilon.view({2, 1});
  const auto middle = p - 0.5 * e * u, end = u + e * mass * middle;
  EXPECT_TRUE(at::allclose(state.position, end, 0, 1e-15));
  EXPECT_TRUE(at::allclose(momentum, middle - 0.5 * e * end, 0, 1e-15));
  EXPECT_TRUE(at::allclose(state.gradient, -end, 0, 1e-15));
  EXPECT_EQ(evaluations, 2);
  (void)hmc_transition(counted, state, {epsilon, mass, 7}, Noise(1).draws(2));
  EXPECT_EQ(evaluations, 9);
}

TEST(Hmc, TransitionIsTheLeapfrogFromItsOwnNoise) {
  const Noise noise = Noise(5).draws(400);
  const HmcStep step{number(0.25), kMass, 4};
  const auto start = hmc_start(banana, points(400));
  auto state = start, end = start;
  const auto outcome = hmc_transition(banana, state, step, noise);
  auto p = noise.site("momentum").normal({400, 3}, kDouble) * kMass.rsqrt();
  const auto before = kinetic_energy(p, kMass) - start.log_density;
  leapfrog(banana, end, p, step);
  const auto error = kinetic_energy(p, kMass) - end.log_density - before;
  const auto accepted = noise.site("accept").uniform({400}, kDouble).log() < -error;
  EXPECT_TRUE(at::allclose(outcome.energy_error, error, 1e-9, 1e-12));
  EXPECT_TRUE(at::allclose(outcome.acceptance, (-error).exp().clamp_max(1), 0, 1e-12));
  EXPECT_TRUE(outcome.accepted.equal(accepted));
  const auto count = accepted.sum().item<int64_t>();
  EXPECT_GT(count, 40);
  EXPECT_LT(count, 390);
  const auto moved = accepted.unsqueeze(-1);
  EXPECT_TRUE(state.position.equal(at::where(moved, end.position, start.position)));
  EXPECT_TRUE(state.gradient.equal(at::where(moved, end.gradient, start.gradient)));
  EXPECT_TRUE(state.log_density.equal(at::where(accepted, end.log_density, start.log_density)));
}

TEST(Hmc, DoesNotDependOnTheSplitOfTheBatch) {
  const Noise noise(8);
  const HmcStep step{number(0.2), kMass, 6};
  const auto u = points(10);
  auto whole = hmc_start(banana, u);
  auto head = hmc_start(banana, u.narrow(0, 0, 4)), tail = hmc_start(banana, u.narrow(0, 4, 6));
  for (const char* t : {"0", "1", "2"}) {
    (void)hmc_transition(banana, whole, step, noise.site(t).draws(10));
    (void)hmc_transition(banana, head, step, noise.site(t).draws(4));
    (void)hmc_transition(banana, tail, step, noise.site(t).draws(6, 4));
  }
  EXPECT_TRUE(whole.position.equal(at::cat({head.position, tail.position})));
}

TEST(Hmc, ARowThatLeavesTheFiniteIsRejectedAndTheOthersDoNotNotice) {
  // A wall: no density at or beyond 1 in the first dimension; its gradient there is not a number.
  const LogDensity walled = [](const at::Tensor& u) {
    EXPECT_TRUE(u.isfinite().all().item<bool>());
    return gaussian(u) + (1 - u.select(-1, 0)).log();
  };
  const auto inside = points(64).clamp_max(0.9);
  auto state = hmc_start(walled, inside);
  const auto outcome = hmc_transition(walled, state, {number(0.9), {}, 6}, Noise(2).draws(64));
  const auto lost = outcome.energy_error == kInfinity;
  EXPECT_GT(lost.sum().item<int64_t>(), 5);
  EXPECT_LT(lost.sum().item<int64_t>(), 60);
  EXPECT_EQ(outcome.acceptance.masked_select(lost).sum().item<double>(), 0);
  EXPECT_FALSE(outcome.accepted.masked_select(lost).any().item<bool>());
  EXPECT_TRUE(state.position.isfinite().all().item<bool>());
  EXPECT_TRUE(state.position.index({lost}).equal(inside.index({lost})));
  for (int64_t r = 0; r < 64; ++r) {  // alone, each moves as it did among the others
    auto alone = hmc_start(walled, inside.narrow(0, r, 1));
    (void)hmc_transition(walled, alone, {number(0.9), {}, 6}, Noise(2).draws(1, r));
    EXPECT_TRUE(alone.position.equal(state.position.narrow(0, r, 1))) << r;
  }
  // Steps that overflow: every path ends at once.
  auto far = hmc_start(gaussian, points(3));
  const auto stays = far.position;
  const auto over = hmc_transition(gaussian, far, {number(1e200), {}, 5}, Noise(2).draws(3));
  EXPECT_EQ(over.acceptance.sum().item<double>(), 0);
  EXPECT_TRUE(far.position.equal(stays));
}

TEST(Hmc, RejectsWhatDoesNotFit) {
  auto state = hmc_start(gaussian, points(4));
  const auto move = [&](const HmcStep& step) {
    return hmc_transition(gaussian, state, step, Noise(1));
  };
  EXPECT_THROW((void)move({number(0.1), {}, 0}), ConfigError);
  EXPECT_THROW((void)move({}), ShapeError);
  EXPECT_THROW((void)move({at::ones({3}, kDouble), {}}), ShapeError);
  EXPECT_THROW((void)move({number(0.1), at::ones({4}, kDouble)}), ShapeError);
  EXPECT_THROW((void)move({number(0.1), at::ones({1, 3, 3}, kDouble)}), ShapeError);
  EXPECT_THROW((void)hmc_start(gaussian, points(4).select(0, 0)), ShapeError);
  EXPECT_THROW((void)hmc_start([](const at::Tensor& u) { return u.square().sum(); }, points(4)),
               ShapeError);
  EXPECT_THROW(
      (void)hmc_start([](const at::Tensor& u) { return (u - 9).sum(-1).log(); }, points(4)),
      NumericError);
}

}  // namespace
}  // namespace elbo
