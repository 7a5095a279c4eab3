#include "elbo/optim/flat_parameters.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/error.h"
#include "elbo/kernels/linear.h"
#include "elbo/optim/optimizer.h"

namespace elbo {
namespace {

at::Tensor leaf(std::vector<double> values) {
  return at::tensor(values, at::kDouble).requires_grad_();
}

std::string message_of(const std::vector<std::pair<std::string, NamedParameters>>& segments) {
  try {
    FlatParameters parameters(segments);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(FlatParameters, ParametersAndGradientsAreViewsOfTwoBuffers) {
  const auto w = at::tensor({1.0, 2.0, 3.0, 4.0}, at::kDouble).view({2, 2}).requires_grad_();
  const auto b = leaf({5});
  const auto v = leaf({6, 7});
  FlatParameters parameters({{"theta", {{"w", w}, {"b", b}}}, {"phi", {{"v", v}}}});
  EXPECT_TRUE(parameters.values().equal(at::arange(1, 8, at::kDouble)));
  EXPECT_EQ(w.sizes(), at::IntArrayRef({2, 2}));
  EXPECT_TRUE(w.is_leaf() && w.requires_grad());

  ((w * w).sum() + 3 * b.sum() - v.sum()).backward();
  EXPECT_TRUE(parameters.gradients().equal(at::tensor({2., 4., 6., 8., 3., -1., -1.})));
  parameters.values().add_(10);
  EXPECT_EQ(w[1][1].item<double>(), 14);
  EXPECT_EQ(v[1].item<double>(), 17);
  w.sum().backward();
  EXPECT_EQ(parameters.gradients().sum().item<double>(), 21 + 4) << "they accumulate";
}

TEST(FlatParameters, BackwardReplacesTheGradients) {
  const auto w = leaf({1, 2});
  const auto v = leaf({3});
  FlatParameters parameters({{"theta", {{"w", w}}}, {"phi", {{"v", v}}}});
  parameters.gradients().fill_(7);
  parameters.backward({w * w}, {at::ones({2}, at::kDouble)});
  EXPECT_TRUE(parameters.gradients().equal(at::tensor({2., 4., 0.})));
  EXPECT_TRUE(w.grad().equal(at::tensor({2., 4.})));
  parameters.gradients().fill_(7);
  EXPECT_EQ(v.grad().item<double>(), 7) << "still a slice";
  w.mutable_grad() = at::ones({2}, at::kDouble);
  parameters.backward({v, w}, {at::ones({1}, at::kDouble), at::zeros({2}, at::kDouble)});
  EXPECT_TRUE(parameters.gradients().equal(at::tensor({0., 0., 1.})));
  EXPECT_THROW(parameters.backward({w}, {at::ones({5}, at::kDouble)}), c10::Error);
  EXPECT_EQ(w.grad().data_ptr(), parameters.gradients().data_ptr()) << "bound again";
}

TEST(FlatParameters, BackwardAddsWhatLayersWriteToWhatAutogradBrings) {
  const auto weight = at::full({3, 2}, 0.5, at::kFloat).requires_grad_();
  const auto bias = at::zeros({3}, at::kFloat).requires_grad_();
  FlatParameters parameters({{"theta", {{"weight", weight}, {"bias", bias}}}});
  const auto x = at::arange(8, at::kFloat).view({4, 2}) / 4;
  const auto objective = [&](bool fused) {
    const auto layer = [&](const at::Tensor& input) {
      return (fused ? fused_linear : linear_twin)(input, weight, bias, Activation::kTanh);
    };
    // The layer twice, and its weight by another way besides.
    return (layer(x) * layer(2 * x + 1)).sum() + weight.square().sum();
  };
  parameters.backward({objective(true)}, {at::ones({}, at::kFloat)});
  const auto ours = parameters.gradients().clone();
  parameters.backward({objective(false)}, {at::ones({}, at::kFloat)});
  EXPECT_TRUE(ours.allclose(parameters.gradients(), 1e-5, 1e-6));
  EXPECT_FALSE(ours.allclose(parameters.gradients() + 1e-3, 1e-5, 1e-6)) << "planted";
}

TEST(FlatParameters, KnowsItsSegments) {
  FlatParameters parameters({{"theta", {{"w", leaf({1, 2, 3})}}}, {"phi", {{"v", leaf({4})}}}});
  EXPECT_EQ(parameters.segment("theta").begin, 0);
  EXPECT_EQ(parameters.segment("theta").size(), 3);
  EXPECT_EQ(parameters.segment("phi").begin, 3);
  EXPECT_EQ(parameters.segment("phi").end, 4);
  EXPECT_EQ(parameters.all().size(), 4);
  EXPECT_EQ(parameters.named().size(), 2u);
  EXPECT_THROW((void)parameters.segment("psi"), ConfigError);
}

TEST(FlatParameters, ViewsOfABufferLieAsTheParametersDo) {
  FlatParameters parameters(
      {{"theta",
        {{"b", leaf({1, 2})}, {"w", leaf({1, 2, 3, 4}).view({2, 2}).detach().requires_grad_()}}}});
  const auto buffer = at::arange(6, at::kDouble);
  const auto views = parameters.views_of(buffer);
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[0].first, "w");  // a matrix comes before vectors
  EXPECT_TRUE(views[0].second.equal(buffer.narrow(0, 0, 4).view({2, 2})));
  EXPECT_TRUE(views[1].second.equal(buffer.narrow(0, 4, 2)));
  EXPECT_EQ(views[1].second.data_ptr<double>(), buffer.data_ptr<double>() + 4);
}

TEST(FlatParameters, CopiesShareTheBuffers) {
  const auto w = leaf({1});
  FlatParameters parameters({{"theta", {{"w", w}}}});
  FlatParameters copy = parameters;
  copy.values().fill_(9);
  EXPECT_EQ(w.item<double>(), 9);
}

TEST(FlatParameters, KeepWhatTheyRoundToAsTheyMove) {
  const auto w = at::linspace(1, 2, 5000, at::kFloat).requires_grad_();
  const auto v = at::linspace(-3, 0, 70, at::kFloat).requires_grad_();
  FlatParameters parameters({{"theta", {{"w", w}}}, {"phi", {{"v", v}}}});
  FlatParameters copy = parameters;
  const auto kept = parameters.rounded();
  const auto expect_kept = [&](const char* after) {
    EXPECT_TRUE(parameters.rounded().equal(parameters.values().to(at::kBFloat16))) << after;
    EXPECT_EQ(parameters.rounded().data_ptr(), kept.data_ptr()) << after;
    EXPECT_EQ(copy.rounded().data_ptr(), kept.data_ptr()) << after;
  };
  expect_kept("the first call");
  Adam adam(parameters, 0.1);
  parameters.gradients().fill_(1);
  adam.step(parameters, parameters.segment("phi"));
  EXPECT_TRUE(kept.equal(parameters.values().to(at::kBFloat16))) << "the optimiser keeps it";
  {
    const at::NoGradGuard no_grad;
    w.mul_(1.5);
  }
  EXPECT_FALSE(kept.equal(parameters.values().to(at::kBFloat16)));
  adam.step(parameters, parameters.segment("phi"));
  expect_kept("a parameter and then a segment changed");
  parameters.values().add_(1);
  expect_kept("the buffer changed");
  Sgd(0.1).step(copy, copy.all());
  expect_kept("a copy moved");
  FlatParameters wide({{"theta", {{"w", leaf({1})}}}});
  EXPECT_FALSE(wide.rounded().defined()) << "float64 has no bfloat16 products";
}

TEST(FlatParameters, RejectsWhatItCannotTakeOver) {
  const auto w = leaf({1});
  EXPECT_EQ(message_of({}), "FlatParameters: no parameters to learn");
  EXPECT_EQ(message_of({{"theta", {{"w", at::ones({1})}}}}),
            "FlatParameters: 'w' is not a leaf that requires a gradient");
  EXPECT_EQ(message_of({{"theta", {{"w", w * 2}}}}),
            "FlatParameters: 'w' is not a leaf that requires a gradient");
  EXPECT_EQ(message_of({{"theta", {{"w", w}}}, {"phi", {{"w", leaf({2})}}}}),
            "FlatParameters: the name 'w' is used twice");
  const auto single = at::ones({1}, at::kFloat).requires_grad_();
  EXPECT_EQ(message_of({{"theta", {{"w", w}, {"v", single}}}}),
            "FlatParameters: 'v' has another dtype than the first");
}

}  // namespace
}  // namespace elbo
