#include "elbo/kernels/eventwise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <vector>

namespace elbo {
namespace {

/// c (x^T A x), of (x, A, c)
struct Quadratic {
  static constexpr std::array<int, 3> kEventDims = {1, 2, 0};

  template <class V>
  static V value(const V* const* in, const int64_t* sizes, V* product) {
    const int64_t d = sizes[0];
    V sum = 0.0;
    for (int64_t i = 0; i < d; ++i) {
      product[i] = 0.0;
      for (int64_t j = 0; j < d; ++j) product[i] = product[i] + in[1][i * d + j] * in[0][j];
      sum = sum + in[0][i] * product[i];
    }
    return in[2][0] * sum;
  }
  template <class V>
  static void slopes(const V* const* in, const int64_t* sizes, V*, V* const* out) {
    const int64_t d = sizes[0];
    const V *x = in[0], c = in[2][0];
    out[2][0] = 0.0;
    for (int64_t i = 0; i < d; ++i) {
      out[0][i] = 0.0;
      for (int64_t j = 0; j < d; ++j) {
        out[0][i] = out[0][i] + c * (in[1][i * d + j] + in[1][j * d + i]) * x[j];
        out[1][i * d + j] = c * x[i] * x[j];
        out[2][0] = out[2][0] + x[i] * in[1][i * d + j] * x[j];
      }
    }
  }
  static at::Tensor twin(const at::Tensor* a) {
    const auto x = a[0].to(at::kDouble);
    const auto product = a[1].to(at::kDouble).matmul(x.unsqueeze(-1)).squeeze(-1);
    return a[2].to(at::kDouble) * (x * product).sum(-1);
  }
};

at::Tensor quadratic(const std::vector<at::Tensor>& a) {
  return evaluate(event_formula<Quadratic>(), a);
}

at::Tensor wave(at::IntArrayRef shape, at::ScalarType type) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return at::arange(n, at::kDouble).mul(0.7).add(0.3).sin().view(shape).to(type);
}

/// Batch shapes of x, A and c.
struct Shapes {
  std::vector<int64_t> x, a, c;
};
const std::vector<Shapes> kShapes = {
    {{}, {}, {}},     {{7}, {}, {}},         {{7}, {7}, {7}}, {{101}, {1}, {}},
    {{2501}, {}, {}}, {{3, 7}, {7}, {3, 1}}, {{0}, {}, {}},   {{}, {2, 5}, {5}},
};

std::vector<at::Tensor> arguments(const Shapes& shapes, int64_t d, at::ScalarType type) {
  auto x = shapes.x, a = shapes.a;
  x.push_back(d);
  a.insert(a.end(), {d, d});
  // A is not contiguous.
  return {wave(x, type), wave(a, type).transpose(-1, -2), wave(shapes.c, type) + 2};
}

TEST(Eventwise, AgreesWithItsTwinOnEveryShape) {
  for (const auto type : {at::kFloat, at::kDouble})
    for (const int64_t d : {1, 3, 8})
      for (const auto& shapes : kShapes) {
        const auto a = arguments(shapes, d, type);
        const auto ours = quadratic(a), twin = Quadratic::twin(a.data());
        EXPECT_EQ(ours.sizes(), twin.sizes());
        EXPECT_EQ(ours.scalar_type(), at::kDouble);
        EXPECT_TRUE(ours.allclose(twin, 1e-13, 1e-13));
      }
}

TEST(Eventwise, GradientsAgreeWithItsTwins) {
  for (const auto type : {at::kFloat, at::kDouble})
    for (const auto& shapes : kShapes) {
      auto a = arguments(shapes, 3, type);
      for (auto& x : a) x = x.detach().requires_grad_();
      const auto gradients = [&](const at::Tensor& y) {
        return torch::autograd::grad({(y * wave(y.sizes(), at::kDouble)).sum()}, a);
      };
      const auto ours = gradients(quadratic(a)), twins = gradients(Quadratic::twin(a.data()));
      const double tolerance = type == at::kFloat ? 1e-5 : 1e-12;
      for (size_t k = 0; k < a.size(); ++k) {
        EXPECT_EQ(ours[k].sizes(), a[k].sizes());
        EXPECT_EQ(ours[k].scalar_type(), type);
        EXPECT_TRUE(ours[k].allclose(twins[k], tolerance, tolerance)) << k;
        if (a[k].numel() > 0)
          EXPECT_FALSE(ours[k].allclose(twins[k] + 1e-3, tolerance, tolerance)) << "planted";
      }
    }
}

TEST(Eventwise, HasSecondDerivativesByItsTwin) {
  auto x = at::tensor({1.0, 2.0}, at::kDouble).requires_grad_();
  const auto a = at::eye(2, at::kDouble), c = at::full({}, 3.0, at::kDouble);
  const auto first = torch::autograd::grad({quadratic({x, a, c})}, {x}, {}, c10::nullopt, true)[0];
  const auto second = torch::autograd::grad({first.sum()}, {x})[0];
  EXPECT_TRUE(second.equal(at::tensor({6.0, 6.0}, at::kDouble)));
}

TEST(Eventwise, LeavesLargeEventsToItsTwin) {
  const auto a = arguments({{5}, {}, {}}, 64, at::kDouble);
  EXPECT_TRUE(quadratic(a).equal(Quadratic::twin(a.data())));
}

TEST(Eventwise, DoesNotDependOnThreads) {
  const auto gradient = [](int threads) {
    at::set_num_threads(threads);
    auto a = arguments({{10007}, {}, {}}, 3, at::kFloat);
    for (auto& x : a) x = x.detach().requires_grad_();
    return torch::autograd::grad({quadratic(a).sum()}, a);
  };
  const int before = at::get_num_threads();
  const auto one = gradient(1), two = gradient(2);
  at::set_num_threads(before);
  for (size_t k = 0; k < one.size(); ++k) EXPECT_TRUE(one[k].equal(two[k])) << k;
}

}  // namespace
}  // namespace elbo
