#include "elbo/inference/nuts.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <set>

#include "elbo/error.h"
#include "elbo/inference/hmc_sampler.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
at::Tensor gaussian(const at::Tensor& u) { return -0.5 * u.square().sum(-1); }
at::Tensor number(double x) { return at::full({1}, x, kDouble); }

struct Counted {
  std::shared_ptr<std::vector<at::Tensor>> seen = std::make_shared<std::vector<at::Tensor>>();
  at::Tensor operator()(const at::Tensor& u) const {
    seen->push_back(u.detach().clone());
    return gaussian(u);
  }
};

TEST(Nuts, DoublesUntilThePathSpansHalfACircle) {
  // Uniform motion on a circle, at right angles to its momentum: (sum of momenta) . (last momentum)
  // is the sine of the angle that the path spans, so that it turns at pi and not before.
  for (const auto& [epsilon, depth] : {std::pair{0.01, 9}, {0.0061, 10}, {0.3, 4}}) {
    const Noise noise = Noise(5).draws(1);
    const auto p = noise.site("momentum").normal({1, 2}, kDouble);
    const Counted density;
    auto state = hmc_start(density, at::stack({-p.select(1, 1), p.select(1, 0)}, 1));
    density.seen->clear();
    const auto outcome = nuts_transition(density, state, {number(epsilon), {}}, noise);
    const auto whole = std::pow(2., depth), half = whole / 2;
    ASSERT_LT((half - 1) * epsilon, std::numbers::pi);
    ASSERT_GT((whole - 1) * epsilon, std::numbers::pi);
    EXPECT_EQ(static_cast<int64_t>(density.seen->size()), static_cast<int64_t>(whole) - 1);
    EXPECT_GT(outcome.acceptance.item<double>(), 0.98);
    EXPECT_LT(std::abs(outcome.energy_error.item<double>()), 0.1);
  }
}

TEST(Nuts, StopsAtTheDepthGivenAndDrawsOneOfItsPoints) {
  for (int64_t depth = 1; depth <= 5; ++depth) {
    const Counted density;
    const auto start = number(0.3).view({1, 1});
    auto state = hmc_start(density, start);
    const auto outcome =
        nuts_transition(density, state, {number(1e-3), {}}, Noise(1).draws(1), depth);
    EXPECT_EQ(static_cast<int64_t>(density.seen->size()), int64_t{1} << depth) << depth;
    bool is_one_of_them = false;
    for (const auto& u : *density.seen) is_one_of_them = is_one_of_them || u.equal(state.position);
    EXPECT_TRUE(is_one_of_them);
    EXPECT_EQ(outcome.accepted.item<bool>(), !state.position.equal(start));
    EXPECT_TRUE(state.log_density.equal(gaussian(state.position)));
    EXPECT_TRUE(state.gradient.equal(-state.position));
  }
}

/// How many points a transition of unlimited depth visits, from all points of the path that it
/// could take, by their places in time.
class Reference {
 public:
  Reference(const LogDensity& f, const at::Tensor& start, const HmcStep& step, const Noise& noise)
      : directions_(noise.site("direction").uniform({kDepth}, kDouble)) {
    const auto p = noise.site("momentum").normal(start.sizes(), kDouble);
    constexpr int64_t kReach = int64_t{1} << kDepth;
    std::vector<at::Tensor> momenta(2 * kReach + 1);
    momenta[kReach] = p;
    for (const int sign : {-1, 1}) {
      auto state = hmc_start(f, start);
      auto momentum = p;
      for (int64_t k = 1; k <= kReach; ++k) {
        leapfrog(f, state, momentum, {sign * step.step_size, {}, 1});
        momenta[static_cast<size_t>(kReach + sign * k)] = momentum;
      }
    }
    p_ = at::cat(momenta);
    sums_ = at::cat({at::zeros_like(p), p_.cumsum(0)});
    zero_ = kReach;
  }
  int64_t visited() {
    int64_t first = zero_, last = zero_;
    for (int64_t depth = 0; depth < kDepth; ++depth) {
      const bool forward = directions_[depth].item<double>() < 0.5;
      const int64_t size = int64_t{1} << depth;
      if (!build(forward ? last + 1 : first - 1, size, forward ? 1 : -1)) break;
      (forward ? last : first) += forward ? size : -size;
      if (turns_joined(first, last)) break;
    }
    return visited_;
  }

 private:
  static constexpr int64_t kDepth = 6;

  bool build(int64_t from, int64_t size, int64_t sign) {
    if (size == 1) return ++visited_ > 0;
    if (!build(from, size / 2, sign) || !build(from + sign * size / 2, size / 2, sign))
      return false;
    const int64_t to = from + sign * (size - 1);
    return !turns_joined(std::min(from, to), std::max(from, to));
  }
  bool turns_joined(int64_t a, int64_t b) const {
    const int64_t middle = a + (b - a) / 2;
    return turns(a, b) || turns(a, middle + 1) || turns(middle, b);
  }
  bool turns(int64_t a, int64_t b) const {
    const auto sum = sums_[b + 1] - sums_[a];
    return (sum * p_[a]).sum().item<double>() <= 0 || (sum * p_[b]).sum().item<double>() <= 0;
  }

  at::Tensor directions_, p_, sums_;
  int64_t zero_ = 0, visited_ = 0;
};

TEST(Nuts, StopsWhereAnyOfItsSubtreesTurns) {
  const auto scales = at::tensor({0.3, 1., 2., 5.}, kDouble);
  std::set<int64_t> lengths;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    int64_t evaluations = 0;
    const LogDensity f = [&](const at::Tensor& u) {
      ++evaluations;
      return gaussian(u / scales) - 0.02 * u.pow(4).sum(-1);
    };
    const Noise noise = Noise(seed).draws(1);
    const HmcStep step{number(0.31), {}};
    const auto start = scales * noise.site("start").normal({1, 4}, kDouble);
    const int64_t expected = Reference(f, start, step, noise).visited();
    auto state = hmc_start(f, start);
    evaluations = 0;
    (void)nuts_transition(f, state, step, noise, 6);
    EXPECT_EQ(evaluations, expected) << seed;
    lengths.insert(expected);
  }
  EXPECT_GT(lengths.size(), 5U) << "paths of many lengths, some of which end within a subtree";
}

TEST(Nuts, LiesOnThePathOfItsMomentum) {
  // Small steps on a circle: x^2 + m^-1 p^2 is kept, whatever point is drawn.
  const auto mass = at::tensor({4., 0.25}, kDouble);
  const auto start = at::tensor({0.3, -0.8}, kDouble).view({1, 2});
  const LogDensity f = [&](const at::Tensor& u) { return -0.5 * (u.square() / mass).sum(-1); };
  const Noise noise = Noise(6).draws(1);
  auto state = hmc_start(f, start);
  (void)nuts_transition(f, state, {number(0.02), mass}, noise);
  const auto p = noise.site("momentum").normal({1, 2}, kDouble) * mass.rsqrt();
  // In units of the mass all dimensions turn at one rate: u(t) = u cos t + mass p sin t.
  const double cosine_sine = (state.position - start).abs().max().item<double>();
  EXPECT_GT(cosine_sine, 0.1) << "it has moved";
  const auto basis = at::cat({start, mass * p}).t();  // u(t) = basis (cos t, sin t)
  const auto angle = at::linalg_solve(basis, state.position.view({2}));
  EXPECT_NEAR(angle.square().sum().item<double>(), 1, 1e-3);
}

TEST(Nuts, RowsGoAsEachWouldAlone) {
  // Scales apart by 30, so that paths end after 1 to 6 doublings; one row diverges at once.
  constexpr int64_t kRows = 12;
  const auto scales = at::pow(10., at::linspace(-0.5, 1, kRows, kDouble)).unsqueeze(-1);
  const auto of_rows = [&](const at::Tensor& s) {
    return LogDensity([s](const at::Tensor& u) {
      return gaussian(u / s) - 0.02 * u.select(1, 0) * u.select(1, 1);
    });
  };
  const auto start = scales * Noise(8).draws(kRows).normal({kRows, 3}, kDouble);
  auto size = at::full({kRows}, 0.3, kDouble);
  size[4] = 1e4;
  const auto mass = 0.5 + Noise(9).draws(kRows).uniform({kRows, 3}, kDouble);
  auto all = hmc_start(of_rows(scales), start);
  const auto outcome =
      nuts_transition(of_rows(scales), all, {size, mass}, Noise(7).draws(kRows), 6);
  for (int64_t r = 0; r < kRows; ++r) {
    const auto f = of_rows(scales.narrow(0, r, 1));
    auto one = hmc_start(f, start.narrow(0, r, 1));
    const auto alone = nuts_transition(f, one, {size.narrow(0, r, 1), mass.narrow(0, r, 1)},
                                       Noise(7).draws(1, r), 6);
    EXPECT_TRUE(one.position.equal(all.position.narrow(0, r, 1))) << r;
    EXPECT_TRUE(one.gradient.equal(all.gradient.narrow(0, r, 1))) << r;
    EXPECT_EQ(alone.acceptance.item<double>(), outcome.acceptance[r].item<double>()) << r;
    EXPECT_EQ(alone.energy_error.item<double>(), outcome.energy_error[r].item<double>()) << r;
    EXPECT_EQ(alone.accepted.item<bool>(), outcome.accepted[r].item<bool>()) << r;
  }
  EXPECT_FALSE(outcome.accepted[4].item<bool>());
  EXPECT_TRUE(all.position[4].equal(start[4]));
  EXPECT_GT(outcome.accepted.sum().item<int64_t>(), kRows / 2);
}

TEST(Nuts, ADivergentPathStaysOrEndsBeforeIt) {
  auto state = hmc_start(gaussian, number(1).view({1, 1}));
  const auto outcome = nuts_transition(gaussian, state, {number(1e3), {}}, Noise(1).draws(1));
  EXPECT_EQ(state.position.item<double>(), 1);
  EXPECT_FALSE(outcome.accepted.item<bool>());
  EXPECT_GT(outcome.energy_error.item<double>(), 1000);
  EXPECT_EQ(outcome.acceptance.item<double>(), 0);
}

TEST(Nuts, IsAnOptionOfTheSampler) {
  const auto scales = at::tensor({0.1, 1., 5.}, kDouble);
  const LogDensity f = [&](const at::Tensor& u) { return gaussian(u / scales); };
  HmcSampler chain(f, at::ones({1, 3}, kDouble), Noise(3).draws(1),
                   {.nuts = true, .target_acceptance = 0.8});
  chain.warm_up(300);
  const auto run = chain.run(300);
  EXPECT_NEAR(run.acceptance.item<double>(), 0.8, 0.07);
  EXPECT_EQ(run.divergences.item<int64_t>(), 0);
  const auto ratio = run.position.std(0).view({3}) / scales;
  EXPECT_GE(ratio.min().item<double>(), 0.7);
  EXPECT_LE(ratio.max().item<double>(), 1.4);
  EXPECT_THROW(HmcSampler(f, at::ones({1, 3}, kDouble), Noise(3).draws(1), {.max_depth = 0}),
               ConfigError);
  auto one = hmc_start(gaussian, at::ones({1, 3}, kDouble));
  EXPECT_THROW((void)nuts_transition(gaussian, one, {number(0.1), {}}, Noise(1), 0), ConfigError);
}

}  // namespace
}  // namespace elbo
