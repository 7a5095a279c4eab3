// Trajectories against the rules written out for one number.
#include "elbo/optim/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "elbo/error.h"
#include "support/other_device.h"

namespace elbo {
namespace {

constexpr double kScale = 2.5, kPrecision = 0.3, kRate = 0.05;
constexpr int kSteps = 7;

/// Gradient given at step t to parameter i.
double gradient(int t, int64_t i) { return std::sin(1.0 + 2 * t + 3 * static_cast<double>(i)); }

struct Fixture {
  at::Device device = at::kCPU;
  at::Tensor theta = leaf({1.0, -2.0}), phi = leaf({0.5});
  FlatParameters parameters{{{"theta", {{"theta", theta}}}, {"phi", {{"phi", phi}}}}};

  [[nodiscard]] at::Tensor leaf(std::initializer_list<double> values) const {
    return at::tensor(values, at::kDouble).to(device).requires_grad_();
  }
  void set_gradients(int t) {
    for (int64_t i = 0; i < 3; ++i) parameters.gradients()[i] = gradient(t, i);
  }
  void run(Optimizer& optimizer) {
    optimizer.gradient_scale = kScale;
    optimizer.prior_precision = kPrecision;
    for (int t = 0; t < kSteps; ++t) {
      set_gradients(t);
      optimizer.step(parameters, parameters.all());
    }
  }
};

/// rule(w, g, t) moves one number, t from 1, given the whole gradient.
using Rule = std::function<double(double w, double g, int t)>;

void expect_trajectory(Fixture& fixture, const std::function<Rule()>& make_rule) {
  const double start[] = {1.0, -2.0, 0.5};
  for (int64_t i = 0; i < 3; ++i) {
    const Rule rule = make_rule();
    double w = start[i];
    for (int t = 0; t < kSteps; ++t) w = rule(w, kScale * gradient(t, i) - kPrecision * w, t + 1);
    EXPECT_NEAR(fixture.parameters.values()[i].item<double>(), w, 1e-14) << i;
  }
}

TEST(Sgd, FollowsItsRule) {
  Fixture fixture;
  Sgd sgd(kRate);
  fixture.run(sgd);
  expect_trajectory(fixture, [] { return [](double w, double g, int) { return w + kRate * g; }; });
}

TEST(Optimizer, SaysThatAGradientIsNotFiniteAndStaysFinite) {
  for (const char* name : {"sgd", "adagrad", "adam"})
    for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL})
      for (const at::Device device : {at::Device(at::kCPU), testing::other_device()}) {
        SCOPED_TRACE(name);
        Fixture fixture{device};
        const auto optimizer = make_optimizer(name, fixture.parameters, kRate);
        fixture.set_gradients(0);
        fixture.parameters.gradients()[1] = bad;
        EXPECT_THROW(optimizer->step(fixture.parameters, fixture.parameters.all()), NumericError);
        EXPECT_EQ(fixture.parameters.values()[1].item<double>(), -2.0);
        EXPECT_TRUE(fixture.parameters.values().isfinite().all().item<bool>());
        for (const auto& [state, values] : optimizer->state(fixture.parameters))
          EXPECT_TRUE(values.isfinite().all().item<bool>()) << state;
      }
}

TEST(Adagrad, FollowsItsRule) {
  Fixture fixture;
  Adagrad adagrad(fixture.parameters, kRate, 1e-3);
  fixture.run(adagrad);
  expect_trajectory(fixture, [] {
    return [h = 0.0](double w, double g, int) mutable {
      h += g * g;
      return w + kRate * g / (std::sqrt(h) + 1e-3);
    };
  });
}

TEST(Adam, FollowsItsRule) {
  Fixture fixture;
  Adam adam(fixture.parameters, kRate, 0.8, 0.95, 1e-3);
  fixture.run(adam);
  expect_trajectory(fixture, [] {
    return [m = 0.0, v = 0.0](double w, double g, int t) mutable {
      m = 0.8 * m + 0.2 * g;
      v = 0.95 * v + 0.05 * g * g;
      const double m_hat = m / (1 - std::pow(0.8, t)), v_hat = v / (1 - std::pow(0.95, t));
      return w + kRate * m_hat / (std::sqrt(v_hat) + 1e-3);
    };
  });
}

TEST(Adam, FirstStepIsTheRate) {
  Fixture fixture;
  Adam adam(fixture.parameters, kRate, 0.9, 0.999, 0);
  fixture.set_gradients(0);
  adam.step(fixture.parameters, fixture.parameters.all());
  for (int64_t i = 0; i < 3; ++i) {
    const double start[] = {1.0, -2.0, 0.5};
    EXPECT_NEAR(fixture.parameters.values()[i].item<double>() - start[i],
                std::copysign(kRate, gradient(0, i)), 1e-14);
  }
}

TEST(Optimizers, MoveOnlyTheSegment) {
  for (const char* name : {"sgd", "adagrad", "adam"}) {
    Fixture fixture;
    const auto optimizer = make_optimizer(name, fixture.parameters, kRate);
    EXPECT_EQ(optimizer->name(), name);
    fixture.set_gradients(0);
    optimizer->step(fixture.parameters, fixture.parameters.segment("phi"));
    EXPECT_TRUE(fixture.theta.detach().equal(at::tensor({1.0, -2.0}, at::kDouble))) << name;
    EXPECT_NE(fixture.phi.item<double>(), 0.5) << name;
  }
}

TEST(Adam, CorrectsSegmentsApart) {
  // theta moved after three steps of phi moves as if phi had never been.
  Fixture alternating, alone;
  Adam a(alternating.parameters, kRate), b(alone.parameters, kRate);
  alternating.set_gradients(1);
  alone.set_gradients(1);
  for (int t = 0; t < 3; ++t) a.step(alternating.parameters, alternating.parameters.segment("phi"));
  a.step(alternating.parameters, alternating.parameters.segment("theta"));
  b.step(alone.parameters, alone.parameters.segment("theta"));
  EXPECT_TRUE(alternating.theta.equal(alone.theta));
  EXPECT_EQ(a.state(alternating.parameters).at("steps.theta").item<int64_t>(), 1);
  EXPECT_EQ(a.state(alternating.parameters).at("steps.phi").item<int64_t>(), 3);
}

TEST(Optimizers, GoOnBitExactlyFromTheirState) {
  for (const char* name : {"sgd", "adagrad", "adam"}) {
    Fixture whole, resumed;
    const auto first = make_optimizer(name, whole.parameters, kRate);
    whole.run(*first);
    resumed.parameters.values().copy_(whole.parameters.values());
    const auto second = make_optimizer(name, resumed.parameters, kRate);
    for (const auto& [key, tensor] : first->state(whole.parameters))
      second->state(resumed.parameters).at(key).copy_(tensor);
    whole.run(*first);
    resumed.run(*second);
    EXPECT_TRUE(whole.parameters.values().equal(resumed.parameters.values())) << name;
  }
}

TEST(Optimizers, MoveTheSameOnAnotherDevice) {
  for (const char* name : {"sgd", "adagrad", "adam"}) {
    SCOPED_TRACE(name);
    Fixture here, there{testing::other_device()};
    const auto first = make_optimizer(name, here.parameters, kRate);
    const auto second = make_optimizer(name, there.parameters, kRate);
    here.run(*first);
    there.run(*second);
    const auto values = there.parameters.values().to(at::kCPU);
    EXPECT_TRUE(at::allclose(here.parameters.values(), values, 1e-14, 1e-14));
    const auto states = second->state(there.parameters);
    for (const auto& [key, tensor] : first->state(here.parameters))
      EXPECT_TRUE(at::allclose(tensor, states.at(key).to(at::kCPU), 1e-14, 1e-14)) << key;
    // What a step saw, of a segment.
    const auto phi = here.parameters.segment("phi");
    const auto a = first->step(here.parameters, phi), b = second->step(there.parameters, phi);
    EXPECT_NEAR(a.parameter_squares, b.parameter_squares, 1e-14);
    EXPECT_NEAR(a.gradient_squares, b.gradient_squares, 1e-14);
  }
}

TEST(Optimizers, RunInFloat32) {
  const auto w = at::tensor({1.0f}, at::kFloat).requires_grad_();
  FlatParameters parameters({{"theta", {{"w", w}}}});
  parameters.gradients().fill_(2);
  Sgd(0.25).step(parameters, parameters.all());
  EXPECT_EQ(w.item<float>(), 1.5f);
}

TEST(Optimizers, RejectUnknownNames) {
  Fixture fixture;
  try {
    (void)make_optimizer("sgdm", fixture.parameters, kRate);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "optimizer = 'sgdm'; expected sgd, adagrad or adam");
  }
}

}  // namespace
}  // namespace elbo
