#include "elbo/nn/linear.h"

#include "elbo/error.h"
#include "support/statistics.h"

namespace elbo::nn {
namespace {

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

TEST(Linear, EqualsTheSumWrittenOutForAnyLeadingDimensions) {
  const Noise noise(1);
  const auto x = noise.site("x").normal({2, 3, 5}, kDouble);
  const auto w = noise.site("w").normal({4, 5}, kDouble);
  const auto b = noise.site("b").normal({4}, kDouble);
  const auto y = linear(x, w, b);
  ASSERT_EQ(y.sizes(), at::IntArrayRef({2, 3, 4}));
  const auto expected = (x.unsqueeze(2) * w).sum(-1) + b;
  EXPECT_LT((y - expected).abs().max().item<double>(), 1e-14);
}

TEST(Linear, TakesNonContiguousInputAndNoRows) {
  const Noise noise(2);
  const auto x = noise.site("x").normal({5, 7}, kDouble).t();
  const auto w = noise.site("w").normal({3, 5}, kDouble);
  const auto b = at::zeros({3}, kDouble);
  EXPECT_TRUE(at::allclose(linear(x, w, b), linear(x.contiguous(), w, b)));
  EXPECT_EQ(linear(at::zeros({0, 5}, kDouble), w, b).sizes(), at::IntArrayRef({0, 3}));
}

TEST(Linear, RefusesAnotherWidth) {
  EXPECT_THROW((void)linear(at::zeros({2, 4}), at::zeros({3, 5}), at::zeros({3})), ShapeError);
}

TEST(Activation, NamesGoBothWays) {
  for (const char* name : {"tanh", "relu", "softplus", "sigmoid", "identity"})
    EXPECT_EQ(to_string(parse_activation(name)), name);
  EXPECT_THROW((void)parse_activation("swish"), ConfigError);
}

TEST(Initialise, AevbIsNormalWithStandardDeviationOneHundredth) {
  // n = 200 000 weights; z* = 6.11 a comparison. A variance of 0.01 would be 100 times this.
  const auto w = at::zeros({400, 500}, kDouble);
  const auto b = at::zeros({400}, kDouble);
  initialise({{"w", w}, {"b", b}}, Init::kAevb, Noise(3));
  EXPECT_LT(testing::estimate(w).z(0), testing::kZStar);
  EXPECT_LT(testing::estimate_variance(w).z(1e-4), testing::kZStar);
  EXPECT_LT(testing::estimate_variance(b).z(1e-4), testing::kZStar);  // biases too
}

TEST(Initialise, XavierIsUniformWithGlorotsBoundAndBiasesAreZero) {
  const auto w = at::zeros({400, 500}, kDouble);
  const auto b = at::ones({400}, kDouble);
  initialise({{"w", w}, {"b", b}}, Init::kXavier, Noise(3));
  const double bound = std::sqrt(6.0 / 900);
  EXPECT_LE(w.abs().max().item<double>(), bound);
  EXPECT_GT(w.abs().max().item<double>(), 0.999 * bound);
  EXPECT_LT(testing::estimate_variance(w).z(bound * bound / 3), testing::kZStar);
  EXPECT_EQ(b.abs().max().item<double>(), 0);
}

TEST(Initialise, AParametersStartDependsOnItsNameAloneAndOnTheSeed) {
  const auto a = at::zeros({3, 4}, kDouble), b = at::zeros({3, 4}, kDouble);
  initialise({{"other", at::zeros({7, 7}, kDouble)}, {"w", a}}, Init::kXavier, Noise(5));
  initialise({{"w", b}}, Init::kXavier, Noise(5));
  EXPECT_TRUE(a.equal(b));
  initialise({{"w", b}}, Init::kXavier, Noise(6));
  EXPECT_FALSE(a.equal(b));
}

}  // namespace
}  // namespace elbo::nn
