#include "elbo/kernels/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

#include "elbo/error.h"
#include "elbo/kernels/gradient_sink.h"
#include "elbo/kernels/noise.h"
#include "kernels/detail/share.h"

namespace elbo {
namespace {

constexpr Activation kAll[] = {Activation::kTanh, Activation::kRelu, Activation::kSoftplus,
                               Activation::kSigmoid, Activation::kIdentity};

at::Tensor normal(at::IntArrayRef shape, uint64_t seed, at::ScalarType type = at::kFloat) {
  return Noise(seed).normal(shape, type);
}

struct Arguments {
  at::Tensor x, weight, bias;
  Arguments(std::vector<int64_t> leading, int64_t in, int64_t out, at::ScalarType type) {
    leading.push_back(in);
    x = normal(leading, 1, type).requires_grad_();
    weight = (normal({out, in}, 2, type) / std::sqrt(static_cast<double>(in))).requires_grad_();
    bias = normal({out}, 3, type).requires_grad_();
  }
  [[nodiscard]] std::vector<at::Tensor> leaves() const { return {x, weight, bias}; }
};

TEST(Linear, AgreesWithItsTwinInValueAndGradient) {
  for (const Activation activation : kAll)
    for (const int64_t rows : {0, 1, 7, 101})
      for (const int64_t columns : {1, 3, 785}) {
        const Arguments a({rows}, columns, 5, at::kFloat);
        const auto ours = fused_linear(a.x, a.weight, a.bias, activation);
        const auto twin = linear_twin(a.x, a.weight, a.bias, activation);
        ASSERT_EQ(ours.sizes(), twin.sizes());
        EXPECT_TRUE(ours.allclose(twin, 1e-5, 1e-6)) << rows << " x " << columns;
        const auto g = normal(ours.sizes(), 4);
        const auto of_ours = torch::autograd::grad({ours}, a.leaves(), {g});
        const auto of_twin = torch::autograd::grad({twin}, a.leaves(), {g});
        for (size_t k = 0; k < 3; ++k) {
          ASSERT_EQ(of_ours[k].sizes(), of_twin[k].sizes());
          EXPECT_TRUE(of_ours[k].allclose(of_twin[k], 1e-4, 1e-4))
              << k << ", " << rows << " x " << columns;
          if (rows > 0 && activation == Activation::kTanh)
            EXPECT_FALSE(of_ours[k].allclose(of_twin[k] + 0.01, 1e-4, 1e-4)) << "planted";
        }
      }
}

// A product by 1, of which the activation is left.
TEST(Linear, TanhIsRightForEveryArgument) {
  auto x =
      at::cat({at::logspace(-30, 2, 4000, 10, at::kDouble),
               at::linspace(0.5, 0.6, 1000, at::kDouble), at::tensor({0.0, INFINITY}, at::kDouble)})
          .to(at::kFloat);
  x = at::cat({x, -x}).unsqueeze(1);
  const auto y =
      fused_linear(x, at::ones({1, 1}), at::zeros({1}), Activation::kTanh).to(at::kDouble);
  const auto exact = x.to(at::kDouble).tanh();
  EXPECT_LT(((y - exact).abs() - 4e-7 * exact.abs()).max().item<double>(), 1e-37);
  EXPECT_FALSE(((y * (1 + 1e-6) - exact).abs() <= 4e-7 * exact.abs()).all().item<bool>())
      << "planted";
  const auto lost =
      fused_linear(at::full({1, 1}, NAN), at::ones({1, 1}), at::zeros({1}), Activation::kTanh);
  EXPECT_TRUE(lost.isnan().all().item<bool>());
}

// Each of a product's three axes is shared out among threads by some of these, with and without
// copies of parts, and the last by oneDNN, as are all where cores have a cache in common; two
// bfloat16 numbers fit where a float does.
TEST(Linear, AgreesWithItsTwinHoweverThreadsShareIt) {
  struct Shape {
    int64_t rows, in, out;
  };
  const int before = at::get_num_threads();
  for (const auto& [rows, in, out] :
       {Shape{100, 784, 500}, Shape{100, 500, 41}, Shape{101, 20, 501}, Shape{1001, 201, 199},
        Shape{257, 130, 2051}, Shape{600, 1050, 1050}}) {
    const Arguments a({rows}, in, out, at::kFloat);
    const auto twin = linear_twin(a.x, a.weight, a.bias, Activation::kTanh);
    const auto g = normal(twin.sizes(), 4);
    const auto of_twin = torch::autograd::grad({twin}, a.leaves(), {g});
    for (const auto& [threads, common_cache] :
         {std::pair{1, false}, {2, false}, {3, false}, {2, true}, {3, true}}) {
      const detail::AssumedCommonCache assumed(common_cache);
      at::set_num_threads(threads);
      const auto ours = fused_linear(a.x, a.weight, a.bias, Activation::kTanh);
      const auto of_ours = torch::autograd::grad({ours}, a.leaves(), {g});
      EXPECT_TRUE(ours.allclose(twin, 1e-5, 1e-5)) << rows << " x " << in << " x " << out;
      for (size_t k = 0; k < 3; ++k)
        EXPECT_TRUE(of_ours[k].allclose(of_twin[k], 1e-4, 1e-3))
            << k << ", " << rows << " x " << in << " x " << out << ", " << threads << " threads";
      if (!has_bfloat16_products()) continue;
      const Bfloat16Products rounding;
      const auto rounded = fused_linear(a.x, a.weight, a.bias, Activation::kIdentity);
      const auto plain = linear_twin(a.x, a.weight, a.bias, Activation::kIdentity);
      // x and w rounded by up to 2^-9 each, in a sum of `in` terms of variance 1 / in
      EXPECT_TRUE(rounded.allclose(plain, 0, 0.03)) << rows << " x " << in << " x " << out;
      const auto of_rounded = torch::autograd::grad({rounded}, a.leaves(), {g});
      const auto of_plain = torch::autograd::grad({plain}, a.leaves(), {g});
      for (size_t k = 0; k < 3; ++k)
        EXPECT_LT((of_rounded[k] - of_plain[k]).norm().item<double>(),
                  5e-3 * of_plain[k].norm().item<double>())
            << k << ", " << rows << " x " << in << " x " << out << ", " << threads << " threads";
    }
  }
  at::set_num_threads(before);
}

TEST(Linear, TakesAnyLeadingDimensionsAndStrides) {
  const Arguments a({2, 3}, 7, 4, at::kFloat);
  const auto strided = normal({7, 6}, 5).t().view({2, 3, 7});
  const auto wide = normal({6, 20}, 6).narrow(1, 3, 7);
  for (const auto& x : {at::Tensor(a.x), strided, wide}) {
    const auto ours = fused_linear(x, a.weight, a.bias, Activation::kTanh);
    const auto twin = linear_twin(x, a.weight, a.bias, Activation::kTanh);
    ASSERT_EQ(ours.sizes(), twin.sizes());
    EXPECT_TRUE(ours.allclose(twin, 1e-5, 1e-6));
  }
  // A gradient that is a broadcast scalar.
  const auto gradient = [&](bool fused) {
    const auto y = (fused ? fused_linear : linear_twin)(a.x, a.weight, a.bias, Activation::kRelu);
    return torch::autograd::grad({y.sum()}, a.leaves());
  };
  const auto ours = gradient(true), twin = gradient(false);
  for (size_t k = 0; k < 3; ++k) EXPECT_TRUE(ours[k].allclose(twin[k], 1e-5, 1e-5)) << k;
}

TEST(Linear, HasSecondDerivativesByItsTwin) {
  const Arguments a({4}, 3, 2, at::kFloat);
  const auto second = [&](auto layer) {
    const auto y = layer(a.x, a.weight, a.bias, Activation::kTanh).sum();
    const auto first = torch::autograd::grad({y}, {a.x}, {}, c10::nullopt, true)[0];
    return torch::autograd::grad({first.square().sum()}, {a.weight})[0];
  };
  EXPECT_TRUE(second(fused_linear).allclose(second(linear_twin), 1e-5, 1e-6));
}

TEST(Linear, GivesNoGradientThatIsNotWanted) {
  const Arguments a({4}, 3, 2, at::kFloat);
  const auto y = fused_linear(a.x.detach(), a.weight, a.bias.detach(), Activation::kTanh);
  const auto g = torch::autograd::grad({y.sum()}, {a.weight})[0];
  const auto twin = linear_twin(a.x.detach(), a.weight, a.bias.detach(), Activation::kTanh);
  EXPECT_TRUE(g.allclose(torch::autograd::grad({twin.sum()}, {a.weight})[0], 1e-5, 1e-6));
}

TEST(Linear, MakesNoWeightGradientsWhereOnlyThoseOfItsInputAreAskedFor) {
  const auto values = normal({2 * (6 + 2)}, 1), gradients = at::zeros_like(values);
  const auto weight = [&](int64_t k) {
    return values.narrow(0, 6 * k, 6).view({2, 3}).requires_grad_();
  };
  const auto bias = [&](int64_t k) { return values.narrow(0, 12 + 2 * k, 2).requires_grad_(); };
  const at::Tensor w[] = {weight(0), weight(1)}, b[] = {bias(0), bias(1)};
  const auto x = normal({5, 3}, 2).requires_grad_();
  const std::vector<int64_t> begins = {0, 6, 12, 14, 16};
  const auto written = [&](const std::vector<at::Tensor>& wanted) {
    const GradientSink sink(values, gradients, begins);
    const auto y = fused_linear(x, w[0], b[0], Activation::kTanh).sum();
    const auto both = fused_linear_pair(x, w[0], b[0], w[1], b[1]);
    (void)torch::autograd::grad({y + both.first.sum() + both.second.sum()}, wanted, {},
                                c10::nullopt, false, /*allow_unused=*/true);
    return std::vector<bool>{sink.written(0), sink.written(1), sink.written(2), sink.written(3)};
  };
  EXPECT_EQ(written({x}), (std::vector<bool>{false, false, false, false}));
  EXPECT_NE(written({x, w[0], w[1], b[0], b[1]}), (std::vector<bool>{false, false, false, false}));
}

at::Tensor rounded(const at::Tensor& x) { return x.detach().to(at::kBFloat16).to(at::kFloat); }

TEST(Bfloat16Products, RoundTheOperandsAndNothingElse) {
  if (!has_bfloat16_products()) {
    EXPECT_THROW(Bfloat16Products(), ConfigError);
    GTEST_SKIP() << "this processor does not multiply bfloat16";
  }
  for (const Activation activation : {Activation::kTanh, Activation::kIdentity}) {
    const Arguments a({101}, 785, 30, at::kFloat);
    const auto g = normal({101, 30}, 4);
    at::Tensor y;
    {
      const Bfloat16Products scope;
      y = fused_linear(a.x, a.weight, a.bias, activation);
    }
    const auto gradients = torch::autograd::grad({y}, a.leaves(), {g});
    const auto exact = linear_twin(rounded(a.x), rounded(a.weight), a.bias.detach(), activation);
    EXPECT_TRUE(y.allclose(exact, 1e-5, 1e-5));
    const auto single = linear_twin(a.x, a.weight, a.bias, activation);
    EXPECT_TRUE(y.allclose(single, 0.03, 0.03));
    EXPECT_FALSE(y.allclose(single, 1e-5, 1e-5)) << "planted: nothing was rounded";
    const auto inner = activation == Activation::kTanh ? g * (1 - y.detach().square()) : g;
    EXPECT_TRUE(gradients[0].allclose(rounded(inner).mm(rounded(a.weight)), 1e-4, 1e-4));
    EXPECT_TRUE(gradients[1].allclose(rounded(inner).t().mm(rounded(a.x)), 1e-4, 1e-4));
    EXPECT_TRUE(gradients[2].allclose(inner.sum(0), 1e-5, 1e-5));
  }
  const Arguments a({4}, 3, 2, at::kFloat);
  EXPECT_TRUE(fused_linear(a.x, a.weight, a.bias, Activation::kIdentity)
                  .allclose(linear_twin(a.x, a.weight, a.bias, Activation::kIdentity), 1e-5, 1e-6))
      << "the scope has ended";
}

TEST(Bfloat16Products, TakeWeightsThatAreRoundedAlready) {
  if (!has_bfloat16_products()) GTEST_SKIP() << "this processor does not multiply bfloat16";
  const auto values = normal({1 + 7 * 33}, 1), weight = values.narrow(0, 1, 7 * 33).view({7, 33});
  const auto x = normal({20, 33}, 2), bias = normal({7}, 3);
  const auto in = [&](const at::Tensor& rounded) {
    const Bfloat16Products scope(values, rounded);
    return fused_linear(x, weight, bias, Activation::kTanh);
  };
  EXPECT_TRUE(in(values.to(at::kBFloat16)).equal(in({})));
  EXPECT_FALSE(in((2 * values).to(at::kBFloat16)).equal(in({}))) << "planted";
}

TEST(Bfloat16Products, RoundAsATenDoes) {
  if (!has_bfloat16_products()) GTEST_SKIP() << "this processor does not multiply bfloat16";
  const Bfloat16Products scope;
  for (const int64_t n : {1, 15, 16, 1001}) {
    auto x = normal({n}, 5) * at::pow(10, 8 * normal({n}, 6));
    x[0] = 1 + 1.0 / 256;  // between two, of which the one below is even
    if (n > 1) x[n - 1] = INFINITY;
    if (n > 2) x[n / 2] = -3e38F;
    EXPECT_TRUE(scope.round(x).equal(x.to(at::kBFloat16))) << n;
  }
  EXPECT_TRUE(scope.round(at::full({3}, NAN, at::kFloat)).isnan().all().item<bool>());
}

TEST(LinearPair, IsOneProductOfLayersSideBySide) {
  // Two weights in one buffer, then two biases, as FlatParameters lays them.
  const auto buffer = normal({2 * 5 * 3 + 2 * 5}, 7);
  const auto parameter = [&](int64_t offset, std::vector<int64_t> shape) {
    int64_t n = 1;
    for (const int64_t s : shape) n *= s;
    return buffer.narrow(0, offset, n).view(shape).detach().requires_grad_();
  };
  const std::vector<at::Tensor> side_by_side = {parameter(0, {5, 3}), parameter(30, {5}),
                                                parameter(15, {5, 3}), parameter(35, {5})};
  std::vector<at::Tensor> apart;
  for (const auto& p : side_by_side) apart.push_back(p.detach().clone().requires_grad_());
  const auto x = normal({2, 7, 3}, 8).requires_grad_();
  const auto run = [&](const std::vector<at::Tensor>& p, bool both) {
    const auto [first, second] = fused_linear_pair(x, p[0], p[1], p[2], p[3]);
    EXPECT_EQ(first.sizes(), at::IntArrayRef({2, 7, 5}));
    const auto y = (first * normal({2, 7, 5}, 9)).sum();
    auto leaves = p;
    leaves.push_back(x);
    auto out = torch::autograd::grad({both ? y + second.square().sum() : y}, leaves, {},
                                     c10::nullopt, false, /*allow_unused=*/true);
    out.push_back(first);
    out.push_back(second);
    return out;
  };
  for (const bool both : {true, false}) {
    const auto ours = run(side_by_side, both), twins = run(apart, both);
    for (size_t k = 0; k < ours.size(); ++k) {
      const auto twin = twins[k].defined() ? twins[k] : at::zeros_like(ours[k]);
      EXPECT_TRUE(ours[k].allclose(twin, 1e-5, 1e-5)) << k;
    }
  }
}

TEST(LinearPair, OfWideLayersIsTwoProducts) {
  const int64_t wide = 130;
  const auto weights = normal({2, wide, 3}, 7), biases = normal({2, wide}, 8);
  const auto x = normal({20, 3}, 9);
  const auto [first, second] = fused_linear_pair(x, weights[0], biases[0], weights[1], biases[1]);
  EXPECT_TRUE(first.is_contiguous() && second.is_contiguous());
  EXPECT_TRUE(
      first.allclose(linear_twin(x, weights[0], biases[0], Activation::kIdentity), 1e-5, 1e-6));
  EXPECT_TRUE(
      second.allclose(linear_twin(x, weights[1], biases[1], Activation::kIdentity), 1e-5, 1e-6));
}

}  // namespace
}  // namespace elbo
