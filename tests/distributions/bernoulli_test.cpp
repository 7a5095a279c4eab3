#include "elbo/distributions/bernoulli.h"

#include "distributions/table.h"

namespace elbo {
namespace {

using namespace testing;

TEST(Bernoulli, AgreesWithSciPy) {
  expect_table("Bernoulli",
               [](const json& p) { return Bernoulli(scalar(number(p["probs"]))).clone(); });
  expect_table("Bernoulli", [](const json& p) {
    const double probs = number(p["probs"]);
    return Bernoulli::from_logits(scalar(std::log(probs) - std::log1p(-probs))).clone();
  });
}

TEST(Bernoulli, IsExactForLargeLogits) {
  const auto law = Bernoulli::from_logits(at::tensor({-800.0, 800.0}, at::kDouble));
  EXPECT_TRUE(law.log_prob(scalar(1)).equal(at::tensor({-800.0, 0.0}, at::kDouble)));
  EXPECT_TRUE(law.log_prob(scalar(0)).equal(at::tensor({0.0, -800.0}, at::kDouble)));
}

TEST(Bernoulli, IsSureAtTheEnds) {
  const Bernoulli law(at::tensor({0.0, 1.0}, at::kDouble));
  EXPECT_TRUE(law.log_prob(at::tensor({0.0, 1.0}, at::kDouble)).eq(0).all().item<bool>());
  // The impossible is not -inf, lest 0 * inf arise, but far below any density.
  EXPECT_TRUE(law.log_prob(at::tensor({1.0, 0.0}, at::kDouble)).lt(-1e29).all().item<bool>());
  EXPECT_TRUE(law.entropy().eq(0).all().item<bool>());
  EXPECT_TRUE(law.variance().eq(0).all().item<bool>());
  EXPECT_TRUE(law.sample(Noise(1), {1000}).mean(0).equal(law.probs()));
}

TEST(Bernoulli, RejectsInvalidParameters) {
  expect_domain_error(
      [] {
        Bernoulli(at::tensor({0.5, 1.5}, at::kDouble));
      },
      "Bernoulli: probs must be in [0, 1], got 1.5 at [1]");
  expect_domain_error([] { Bernoulli(scalar(-0.25)); },
                      "Bernoulli: probs must be in [0, 1], got -0.25");
  expect_domain_error([] { Bernoulli(scalar(NAN)); },
                      "Bernoulli: probs must be in [0, 1], got nan");
}

TEST(Bernoulli, HasShapesSampleBatchEvent) {
  const Bernoulli law(at::full({4, 3}, 0.5, at::kDouble));
  EXPECT_EQ(law.sample(Noise(1), {5}).sizes(), at::IntArrayRef({5, 4, 3}));
  EXPECT_EQ(law.log_prob(scalar(1)).sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(law.expand({2, 4, 3})->entropy().sizes(), at::IntArrayRef({2, 4, 3}));
  EXPECT_TRUE(law.is_discrete());
  EXPECT_FALSE(law.has_rsample());
  EXPECT_THROW((void)law.rsample(Noise(1)), Error);
  EXPECT_THROW((void)law.icdf(scalar(0.5)), Error);
}

TEST(Bernoulli, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {at::tensor({0.1, 0.5, 0.93}, at::kDouble)};
  const auto x = at::tensor({1.0, 0.0, 0.4}, at::kDouble);
  const TensorFunction functions[] = {
      [&](const auto& in) { return Bernoulli(in[0]).log_prob(x); },
      [&](const auto& in) { return Bernoulli(in[0]).entropy(); },
      [&](const auto& in) { return Bernoulli(in[0]).variance(); },
      [&](const auto& in) { return Bernoulli::from_logits(in[0]).log_prob(x); },
  };
  for (const auto& f : functions) EXPECT_LE(gradient_error(f, inputs), kGradientTolerance);
}

}  // namespace
}  // namespace elbo
