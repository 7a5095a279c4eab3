#include "elbo/kernels/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <vector>

#include "elbo/kernels/math.h"

namespace elbo {
namespace {

/// x log(y) + e^-x, which all kinds of arguments can be asked for.
struct Mix {
  static constexpr bool kHot = true;
  template <class T>
  T operator()(const T& x, const T& y) const {
    using namespace math;
    return x * log(y) + exp(-x);
  }
};

/// Branches on its argument, so that only scalars will do.
struct Steep {
  static constexpr bool kHot = true;
  template <math::Scalar T>
  T operator()(const T& x) const {
    if (x > 1.0) return x * x;
    return x;
  }
};

at::Tensor mix(const at::Tensor& x, const at::Tensor& y) {
  return evaluate(formula<Mix, 2>(), {x, y});
}
at::Tensor ramp(at::IntArrayRef shape, at::ScalarType type) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return (at::arange(n, at::kDouble) / 7 + 0.3).to(type).view(shape);
}

TEST(Elementwise, AgreesWithItsTwinOnEveryShapeAndStride) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const double tolerance = type == at::kFloat ? 1e-5 : 1e-12;
    for (const int64_t rows : {0, 1, 7, 101})
      for (const int64_t columns : {1, 3, 785}) {
        const auto x = ramp({columns, rows}, type).t();  // not contiguous
        const auto y = ramp({columns}, type);            // broadcast
        const auto twin = Mix{}(x, y);
        const auto fused = mix(x, y);
        EXPECT_EQ(fused.sizes(), twin.sizes());
        EXPECT_EQ(fused.scalar_type(), type);
        EXPECT_TRUE(fused.allclose(twin, tolerance, tolerance)) << rows << " x " << columns;
      }
  }
  EXPECT_TRUE(mix(ramp({5}, at::kDouble), at::full({}, 2.0, at::kDouble)).sizes().equals({5}));
}

TEST(Elementwise, GradientsAgreeWithItsTwins) {
  const auto gradients = [](bool fused) {
    auto x = ramp({101, 3}, at::kDouble).requires_grad_();
    auto y = ramp({3}, at::kDouble).requires_grad_();
    const auto z = fused ? mix(x, y) : Mix{}(x, y);
    (z * ramp({101, 3}, at::kDouble)).sum().backward();
    return std::vector<at::Tensor>{x.grad(), y.grad()};
  };
  const auto ours = gradients(true), twins = gradients(false);
  for (size_t i = 0; i < ours.size(); ++i)
    EXPECT_TRUE(ours[i].allclose(twins[i], 1e-12, 1e-12)) << i;
  EXPECT_FALSE(ours[0].allclose(1.001 * twins[0], 1e-12, 1e-12)) << "planted";
}

TEST(Elementwise, HasSecondDerivativesByItsTwin) {
  auto x = at::full({}, 0.7, at::kDouble).requires_grad_();
  const auto y = mix(x, at::full({}, 2.0, at::kDouble));
  const auto first = torch::autograd::grad({y}, {x}, {}, c10::nullopt, /*create_graph=*/true)[0];
  const auto second = torch::autograd::grad({first}, {x})[0];
  EXPECT_NEAR(first.item<double>(), std::log(2.0) - std::exp(-0.7), 1e-14);
  EXPECT_NEAR(second.item<double>(), std::exp(-0.7), 1e-14);
}

TEST(Elementwise, TakesFormulasOfScalarsLaneByLane) {
  auto x = at::tensor({0.5, 3.0, 1.0, 2.0, 4.0}, at::kDouble).requires_grad_();
  const auto y = evaluate(formula<Steep, 1>(), {x});
  EXPECT_TRUE(y.equal(at::tensor({0.5, 9.0, 1.0, 4.0, 16.0}, at::kDouble)));
  y.sum().backward();
  EXPECT_TRUE(x.grad().equal(at::tensor({1.0, 6.0, 1.0, 4.0, 8.0}, at::kDouble)));
  auto again = x.detach().clone().requires_grad_();
  const auto z = evaluate(formula<Steep, 1>(), {again}).sum();
  EXPECT_THROW((void)torch::autograd::grad({z}, {again}, {}, c10::nullopt, true), UnsupportedError);
}

TEST(Elementwise, TakesNoiseInDoubleForSingleParameters) {
  const auto u = ramp({6}, at::kDouble) * 1e-12;  // float32 would lose nothing here, but:
  const auto y = at::full({6}, 3.0F, at::kFloat);
  const auto z = evaluate(formula<Mix, 2, true>(), {u, y});
  EXPECT_EQ(z.scalar_type(), at::kFloat);
  EXPECT_TRUE(z.allclose(Mix{}(u, y.to(at::kDouble)).to(at::kFloat)));
}

TEST(Elementwise, DoesNotDependOnThreads) {
  const auto x = ramp({100003}, at::kDouble), y = ramp({100003}, at::kDouble);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = mix(x, y);
  at::set_num_threads(2);
  const auto two = mix(x, y);
  at::set_num_threads(before);
  EXPECT_TRUE(one.equal(two));
}

#if defined(ELBO_HAS_AVX2_LOOPS)
/// One of the functions that formulas are made of.
template <int kWhich>
struct One {
  static constexpr bool kHot = true;
  template <class T>
  T operator()(const T& x) const {
    using namespace math;
    switch (kWhich) {
      case 0:
        return exp(x) + expm1(0.3 * x);
      case 1:
        return log(x) - log1p(x);
      case 2:
        return tanh(x) * sigmoid(-x) + math::softplus(x);
      case 3:
        return sin(x) + cos(3.0 * x) * atan(x);
      case 4:
        return lgamma(x) + digamma(x + 1.0);
      case 5:
        return sqrt(abs(x)) + floor(x) + maximum(x, T(1.0)) * minimum(x, T(2.0));
      case 6:
        return select((x < 1.0) | (x >= 3.0), x * x, select((x > 0.5) & !(x == 2.0), -x, x));
      default:
        return pow(x, T(1.5)) + xlogy(x, x) + log1mexp(-x);
    }
  }
};

template <int kWhich>
void expect_same_on_every_machine() {
  using Values = detail::ValuesLoop<One<kWhich>, 1>;
  using Partials = detail::PartialsLoop<One<kWhich>, 1, false>;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> x = {0,   -0.0, 5e-324, 1e-310, 1,         2,          2.5,  3,
                           1e3, 1e7,  1e300,  -1,     kInfinity, -kInfinity, -800, std::nan("")};
  for (int i = 0; i < 1000; ++i) x.push_back(0.013 * i + 1e-3);
  const auto n = static_cast<int64_t>(x.size());
  ASSERT_EQ(n % Formula::kWidest, 0);
  using Numbers = std::vector<double>;
  const auto run = [&](const auto& values, const auto& partials) {
    std::pair<Numbers, Numbers> out{Numbers(x.size()), Numbers(x.size())};
    const double* in[] = {x.data()};
    double* slopes[] = {out.second.data()};
    values(in, out.first.data(), n);
    partials(in, slopes, n, 1U);
    return out;
  };
  const auto expect_same = [&](const Numbers& a, const Numbers& b, const char* what) {
    for (size_t i = 0; i < x.size(); ++i) {
      if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
      // One of them rounds a * b + c once, the other twice.
      EXPECT_NEAR(a[i], b[i], 1e-13 * std::max(1.0, std::abs(a[i])))
          << what << " of function " << kWhich << " at " << x[i];
    }
  };
  using In = const double* const*;
  using Out = double* const*;
  const auto plain = run(detail::baseline<Values, In, double*, int64_t>,
                         detail::baseline<Partials, In, Out, int64_t, unsigned>);
  if (math::has_avx2()) {
    const auto fast = run(detail::avx2<Values, In, double*, int64_t>,
                          detail::avx2<Partials, In, Out, int64_t, unsigned>);
    expect_same(plain.first, fast.first, "AVX2: value");
    expect_same(plain.second, fast.second, "AVX2: slope");
  }
  if (math::has_avx512()) {
    const auto wide = run(detail::avx512<Values, In, double*, int64_t>,
                          detail::avx512<Partials, In, Out, int64_t, unsigned>);
    expect_same(plain.first, wide.first, "AVX-512: value");
    expect_same(plain.second, wide.second, "AVX-512: slope");
  }
}

TEST(Elementwise, IsTheSameOnEveryMachine) {
  expect_same_on_every_machine<0>();
  expect_same_on_every_machine<1>();
  expect_same_on_every_machine<2>();
  expect_same_on_every_machine<3>();
  expect_same_on_every_machine<4>();
  expect_same_on_every_machine<5>();
  expect_same_on_every_machine<6>();
  expect_same_on_every_machine<7>();
}
#endif

}  // namespace
}  // namespace elbo
