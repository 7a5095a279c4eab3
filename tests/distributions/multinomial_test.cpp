#include "elbo/distributions/multinomial.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

TEST(Multinomial, AgreesWithTheTable) {
  expect_multivariate_table("Multinomial", [](const json& p, at::ScalarType type) {
    return Multinomial(p["total_count"].get<int64_t>(), tensor_of(p["probs"], type)).clone();
  });
}

TEST(Multinomial, RejectsInvalidParameters) {
  const auto probs = values({0.5, 0.5}, {2});
  expect_domain_error([&] { Multinomial(-1, probs); },
                      "Multinomial: total_count must be >= 0, got -1");
  expect_domain_error([&] { Multinomial(3, -probs); },
                      "Multinomial: probs must be >= 0, got -0.5 at [0]");
  expect_domain_error([&] { Multinomial(3, 0 * probs); },
                      "Multinomial: the sum of probs must be > 0 and finite, got 0");
  expect_domain_error([&] { (void)Multinomial::from_logits(3, probs / 0); },
                      "Multinomial: logits must be < inf, got inf at [0]");
  EXPECT_THROW(Multinomial(3, scalar(1)), ShapeError);
}

TEST(Multinomial, HasShapesSampleBatchEvent) {
  expect_shapes(Multinomial(50, values({1, 2, 3}, {3})), {}, {3});
  const Multinomial law(30, at::ones({4, 3, 5}, at::kDouble));
  expect_shapes(law, {4, 3}, {5});
  EXPECT_TRUE(law.is_discrete());
  EXPECT_FALSE(law.has_rsample());
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({4, 3, 5}));
  EXPECT_EQ(law.entropy().sizes(), at::IntArrayRef({4, 3}));
  const auto single = Multinomial::from_logits(7, at::zeros({3}, at::kFloat));
  EXPECT_EQ(single.sample(Noise(1)).scalar_type(), at::kFloat);
  EXPECT_TRUE(single.probs().allclose(at::full({3}, 1.0 / 3)));
  EXPECT_TRUE(single.logits().exp().allclose(single.probs()));
}

TEST(Multinomial, DrawsHaveItsMoments) {
  // Few and many trials, rare and frequent categories: both ways of drawing binomials.
  for (const int64_t n : {1, 12, 5000}) {
    const Multinomial law(n, values({1, 0, 30, 10, 2}, {5}));
    const auto x = law.sample(Noise(2), {1000});
    EXPECT_TRUE(x.sum(-1).eq(static_cast<double>(n)).all().item<bool>());
    EXPECT_TRUE((x >= 0).all().item<bool>());
    expect_moments(law);
  }
  expect_entropy(Multinomial(40, values({1, 30, 10, 2}, {4})));
}

TEST(Multinomial, DrawsOfTwoCategoriesAreBinomial) {
  // Chi-square of 1e5 draws against the probabilities, at z* = 6.11; n p = 12 draws by rejection.
  for (const double p : {0.03, 0.3, 0.8}) {
    const Multinomial law(40, values({p, 1 - p}, {2}));
    const auto counts = at::arange(41, at::kDouble);
    const auto probs = law.log_prob(at::stack({counts, 40 - counts}, -1)).exp();
    EXPECT_NEAR(probs.sum().item<double>(), 1, 1e-12);
    const auto x = law.sample(Noise(6).draws(kMomentDraws), {kMomentDraws}).select(1, 0);
    const auto seen = x.to(at::kLong).bincount({}, 41).to(at::kDouble);
    const auto expected = probs * static_cast<double>(kMomentDraws);
    const auto enough = expected >= 10;
    const auto chi =
        ((seen - expected).square() / expected).masked_select(enough).sum().item<double>();
    const auto cells = enough.sum().item<double>();
    EXPECT_LE(chi, cells + kZStar * std::sqrt(2 * cells) + kZStar * kZStar) << "p = " << p;
    EXPECT_LE(seen.masked_select(enough.logical_not()).sum().item<double>(),
              expected.masked_select(enough.logical_not()).sum().item<double>() + 40);
    const auto shifted = expected.roll(1);
    EXPECT_GT(((seen - shifted).square() / shifted).masked_select(enough).sum().item<double>(),
              2 * cells + 200)
        << "planted";
  }
}

TEST(Multinomial, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({0.2, 0.5, 1.3, 2.0, 0.1, 0.4}, {2, 3})};
  const auto x = values({1, 0, 4, 2, 2, 1}, {2, 3});
  expect_gradients({[&](const auto& in) { return Multinomial(5, in[0]).log_prob(x); },
                    [&](const auto& in) { return Multinomial(5, in[0]).entropy(); },
                    [&](const auto& in) { return Multinomial(5, in[0]).variance(); },
                    [&](const auto& in) { return Multinomial::from_logits(5, in[0]).log_prob(x); }},
                   inputs);
  const auto p = values({0, 1, 2, 0, 0, 3}, {2, 3}).requires_grad_();
  const Multinomial law(5, p);
  (law.log_prob(values({0, 1, 4, 0, 0, 5}, {2, 3})) + law.entropy()).sum().backward();
  EXPECT_TRUE(p.grad().isfinite().all().item<bool>()) << "probabilities of 0 do no harm";
}

}  // namespace
}  // namespace elbo
