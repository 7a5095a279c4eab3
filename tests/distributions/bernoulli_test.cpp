#include "elbo/distributions/bernoulli.h"

#include "distributions/laws.h"

namespace elbo {
namespace {

using namespace testing;

TEST(Bernoulli, OfLogitsAgreesWithTheTable) {
  const auto of_logits = [](const std::vector<at::Tensor>& p, Validate) {
    return Bernoulli::from_logits(p[0].log() - (-p[0]).log1p()).clone();
  };
  const LawInfo law{"Bernoulli", {}, of_logits};
  expect_table(law, at::kDouble, kTableTolerance);
  expect_table(law, at::kFloat, kSingleTolerance);
}

TEST(Bernoulli, IsExactForLargeLogits) {
  const auto law = Bernoulli::from_logits(at::tensor({-800.0, 800.0}, at::kDouble));
  EXPECT_TRUE(law.log_prob(scalar(1)).equal(at::tensor({-800.0, 0.0}, at::kDouble)));
  EXPECT_TRUE(law.log_prob(scalar(0)).equal(at::tensor({0.0, -800.0}, at::kDouble)));
}

TEST(Bernoulli, IsSureAtTheEnds) {
  const Bernoulli law(at::tensor({0.0, 1.0}, at::kDouble));
  EXPECT_TRUE(law.log_prob(at::tensor({0.0, 1.0}, at::kDouble)).eq(0).all().item<bool>());
  EXPECT_TRUE(law.log_prob(at::tensor({1.0, 0.0}, at::kDouble)).isneginf().all().item<bool>());
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

TEST(Bernoulli, OfManyRowsUnderManyLawsIsEachAlone) {
  const auto options = at::TensorOptions(at::kDouble);
  auto probs = Noise(1).uniform({3, 1, 5}, options);
  auto x = Noise(2).uniform({20, 5}, options);
  const auto expect_each = [&] {
    const auto found = Bernoulli(probs).to_event(1).log_prob(x);
    ASSERT_EQ(found.sizes(), at::IntArrayRef({3, 20}));
    for (int64_t k = 0; k < 3; ++k)
      for (int64_t m = 0; m < 20; ++m) {
        const double alone = Bernoulli(probs[k][0]).to_event(1).log_prob(x[m]).item<double>();
        if (std::isfinite(alone))
          EXPECT_NEAR(found[k][m].item<double>(), alone, 1e-12);
        else
          EXPECT_EQ(found[k][m].item<double>(), alone);
      }
  };
  expect_each();
  x[3][2] = 1.5;  // no density
  expect_each();
  x[3][2] = 1;
  probs[1][0][2] = 1;  // sure
  expect_each();
}

}  // namespace
}  // namespace elbo
