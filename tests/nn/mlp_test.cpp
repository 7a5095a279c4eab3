#include "elbo/nn/mlp.h"

#include "elbo/error.h"

namespace elbo::nn {
namespace {

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

TEST(Mlp, IsItsLayersInTurn) {
  Mlp mlp(5, {4, 3}, Activation::kTanh, kDouble);
  NamedParameters named;
  for (const auto& item : mlp.named_parameters()) named.emplace_back(item.key(), item.value());
  ASSERT_EQ(named.size(), 4u);
  EXPECT_EQ(named[0].first, "0.weight");
  initialise(named, Init::kXavier, Noise(1));
  const auto x = Noise(2).normal({6, 5}, kDouble);
  const auto h = (x.matmul(named[0].second.t()) + named[1].second).tanh();
  const auto expected = (h.matmul(named[2].second.t()) + named[3].second).tanh();
  EXPECT_LT((mlp.forward(x) - expected).abs().max().item<double>(), 1e-14);
  EXPECT_EQ(mlp.out(), 3);
}

TEST(Mlp, WithoutLayersIsTheIdentity) {
  const Mlp mlp(5, {}, Activation::kTanh, kDouble);
  const auto x = Noise(2).normal({6, 5}, kDouble);
  EXPECT_TRUE(mlp.forward(x).equal(x));
  EXPECT_EQ(mlp.out(), 5);
}

TEST(Mlp, RefusesAnEmptyLayer) {
  EXPECT_THROW(Mlp(5, {4, 0}, Activation::kTanh, kDouble), ConfigError);
}

}  // namespace
}  // namespace elbo::nn
