// The plain twins against the functions on doubles.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/error.h"
#include "elbo/kernels/math.h"

namespace elbo::math {
namespace {

at::Tensor values(std::vector<double> v) { return at::tensor(v, at::kDouble); }

template <class F>
void expect_same(const F& f, const at::Tensor& x, double tolerance = 1e-12) {
  const auto y = f(x);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double expected = f(x[i].item<double>());
    EXPECT_NEAR(y[i].template item<double>(), expected,
                tolerance * std::max(1.0, std::abs(expected)))
        << x[i].item<double>();
  }
}

TEST(MathTensor, AgreesWithDoubles) {
  const auto any_size = values({-30, -2, -0.1, 0, 0.3, 1.5, 40});
  expect_same([](const auto& x) { return math::softplus(x); }, any_size);
  expect_same([](const auto& x) { return ndtr(x); }, any_size);
  expect_same([](const auto& x) { return log_ndtr(x); }, any_size);
  expect_same([](const auto& x) { return log1mexp(x); }, values({-50, -1, -0.69, -0.1, -1e-9}));
  expect_same([](const auto& x) { return trigamma(x); }, values({0.1, 1, 7.5}),
              1e-9);  // all that ATen has
  expect_same([](const auto& x) { return ndtri(x); }, values({1e-12, 0.2, 0.5, 0.999}));
  expect_same([](const auto& x) { return log_i0(x); }, values({0.1, 3, 80}));
  expect_same([](const auto& x) { return i1_over_i0(x); }, values({0.1, 3, 80}));
  expect_same([](const auto& x) { return lbeta(x, x); }, values({0.1, 3, 80}));
}

TEST(MathTensor, SelectsAndDropsDerivatives) {
  auto x = values({-1, 2}).requires_grad_();
  const auto y = select(x > 0.0, x * 3.0, 0.0) + constant(x);
  EXPECT_TRUE(y.equal(values({-1, 8})));
  y.sum().backward();
  EXPECT_TRUE(x.grad().equal(values({0, 3})));
}

TEST(MathTensor, RefusesWhatATenHasNot) {
  EXPECT_THROW((void)gamma_p(values({1}), values({1})), UnsupportedError);
  EXPECT_THROW((void)beta_i(values({1}), values({1}), values({0.5})), UnsupportedError);
}

}  // namespace
}  // namespace elbo::math
