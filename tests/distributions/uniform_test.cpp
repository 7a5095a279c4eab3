#include "elbo/distributions/uniform.h"

#include "distributions/table.h"

namespace elbo {
namespace {

using namespace testing;

TEST(Uniform, HasDensityAtBothEnds) {
  const Uniform law(scalar(-1), scalar(3));
  EXPECT_DOUBLE_EQ(law.log_prob(scalar(-1)).item<double>(), -std::log(4.0));
  EXPECT_DOUBLE_EQ(law.log_prob(scalar(3)).item<double>(), -std::log(4.0));
  EXPECT_EQ(law.log_prob(scalar(3.0000001)).item<double>(), -INFINITY);
}

TEST(Uniform, DrawsStayInsideAfterRounding) {
  const auto low = at::full({}, 1.0F), high = at::full({}, 1.0F + 0x1p-23F);
  const Uniform law(low, high);
  const auto x = law.rsample(Noise(1), {1000});
  EXPECT_TRUE(law.log_prob(x).isfinite().all().item<bool>());
  EXPECT_TRUE(law.support().check(x).all().item<bool>());
}

TEST(Uniform, RejectsInvalidParameters) {
  expect_domain_error([] { Uniform(scalar(2), scalar(2)); }, "Uniform: expected low < high");
  const auto high = at::tensor({1.0, -2.0}, at::kDouble);
  expect_domain_error([&] { Uniform(scalar(0), high); }, "Uniform: expected low < high at [1]");
  EXPECT_THROW(Uniform(at::zeros({3}), at::ones({2})), ShapeError);
}

TEST(Uniform, HasShapesSampleBatchEvent) {
  const Uniform law(at::zeros({4, 1}, at::kDouble), at::ones({3}, at::kDouble));
  EXPECT_EQ(law.batch_shape(), (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(law.sample(Noise(1), {5}).sizes(), at::IntArrayRef({5, 4, 3}));
  EXPECT_EQ(law.log_prob(scalar(0.5)).sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(law.expand({2, 4, 3})->log_prob(scalar(0.5)).sizes(), at::IntArrayRef({2, 4, 3}));
}

TEST(Uniform, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {at::tensor({-2.0, 0.5}, at::kDouble),
                                          at::tensor({1.0, 4.0}, at::kDouble)};
  const auto inside = at::tensor({0.3, 0.7}, at::kDouble);
  const TensorFunction functions[] = {
      [&](const auto& in) { return Uniform(in[0], in[1]).log_prob(inside); },
      [&](const auto& in) { return Uniform(in[0], in[1]).cdf(inside); },
      [&](const auto& in) { return Uniform(in[0], in[1]).icdf(inside); },
      [&](const auto& in) { return Uniform(in[0], in[1]).variance(); },
      [&](const auto& in) { return Uniform(in[0], in[1]).rsample(Noise(2), {3}); },
  };
  for (const auto& f : functions) EXPECT_LE(gradient_error(f, inputs), kGradientTolerance);
}

}  // namespace
}  // namespace elbo
