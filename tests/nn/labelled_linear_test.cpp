#include "elbo/nn/labelled_linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/kernels/noise.h"

namespace elbo::nn {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

/// The layer over x and the one-hot label, put beside each other.
at::Tensor beside(const LabelledLinear& layer, const at::Tensor& x, const at::Tensor& y) {
  auto shape = y.sizes().vec();
  auto rows = x;
  while (rows.dim() <= y.dim()) rows = rows.unsqueeze(0);
  const auto hot = at::one_hot(y, layer.label_weight.size(0)).to(at::kDouble);
  std::vector<int64_t> wide = at::infer_size(rows.sizes().slice(0, rows.dim() - 1), y.sizes());
  auto of_x = wide, of_y = wide;
  of_x.push_back(x.size(-1));
  of_y.push_back(hot.size(-1));
  const auto both = at::cat({rows.expand(of_x), hot.expand(of_y)}, -1);
  return at::softplus(
      at::linear(both, at::cat({layer.weight, layer.label_weight.t()}, 1), layer.bias));
}

TEST(LabelledLinear, IsTheLayerOverBoth) {
  LabelledLinear layer(4, 3, 5, kDouble);
  initialise({{"weight", layer.weight}, {"bias", layer.bias}, {"label", layer.label_weight}},
             Init::kAevb, Noise(1));
  const auto x = Noise(2).normal({1, 6, 4}, kDouble);
  for (const auto& y :
       {at::arange(3, at::kLong).view({3, 1, 1}), at::tensor({0, 2, 1, 1, 0, 2}, at::kLong)}) {
    std::vector<at::Tensor> gradients[2];
    for (const bool twin : {false, true}) {
      for (auto& p : layer.parameters()) p.mutable_grad().reset();
      const auto found = twin ? beside(layer, x, y) : layer.forward(x, y, Activation::kSoftplus);
      EXPECT_TRUE(at::allclose(found, beside(layer, x, y), 1e-12, 1e-12));
      found.sin().sum().backward();
      for (const auto& p : layer.parameters()) gradients[twin].push_back(p.grad().clone());
    }
    for (size_t i = 0; i < gradients[0].size(); ++i)
      EXPECT_TRUE(at::allclose(gradients[0][i], gradients[1][i], 1e-12, 1e-12)) << i;
  }
}

}  // namespace
}  // namespace elbo::nn
