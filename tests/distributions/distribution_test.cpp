#include "elbo/distributions/distribution.h"

#include "distributions/table.h"

namespace elbo {
namespace {

using namespace testing;

Normal grid() {
  return Normal(at::arange(12, at::kDouble).view({4, 3}), at::full({4, 3}, 2.0, at::kDouble));
}

TEST(Independent, MovesBatchDimensionsIntoTheEvent) {
  const auto law = grid().to_event(1);
  EXPECT_EQ(law.batch_shape(), (std::vector<int64_t>{4}));
  EXPECT_EQ(law.event_shape(), (std::vector<int64_t>{3}));
  EXPECT_EQ(law.name(), "Independent(Normal)");
  const auto x = law.rsample(Noise(1), {5});
  EXPECT_EQ(x.sizes(), at::IntArrayRef({5, 4, 3}));
  EXPECT_TRUE(x.equal(grid().rsample(Noise(1), {5})));
  EXPECT_TRUE(law.sample(Noise(1), {5}).equal(x));
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(law.variance().sizes(), at::IntArrayRef({4, 3}));
}

TEST(Independent, SumsTheEventAndNotTheBatch) {
  const auto x = grid().rsample(Noise(1), {5});
  const auto cells = grid().log_prob(x);
  EXPECT_TRUE(grid().to_event(0).log_prob(x).equal(cells));
  EXPECT_TRUE(grid().to_event(1).log_prob(x).allclose(cells.sum(-1)));
  EXPECT_TRUE(grid().to_event(2).log_prob(x).allclose(cells.sum({-1, -2})));
  EXPECT_TRUE(grid().to_event(1).entropy().allclose(grid().entropy().sum(-1)));
  EXPECT_EQ(grid().to_event(2).log_prob(x).sizes(), at::IntArrayRef({5}));
}

TEST(Independent, NestsAndExpands) {
  const Independent nested(grid().to_event(1).clone(), 1);
  EXPECT_TRUE(nested.batch_shape().empty());
  EXPECT_EQ(nested.event_shape(), (std::vector<int64_t>{4, 3}));
  const auto x = grid().rsample(Noise(1), {5});
  EXPECT_TRUE(nested.log_prob(x).allclose(grid().to_event(2).log_prob(x)));
  const auto wide = grid().to_event(1).expand({7, 4});
  EXPECT_EQ(wide->batch_shape(), (std::vector<int64_t>{7, 4}));
  EXPECT_EQ(wide->event_shape(), (std::vector<int64_t>{3}));
  EXPECT_TRUE(wide->log_prob(x[0])[6].allclose(grid().to_event(1).log_prob(x[0])));
}

TEST(Independent, RejectsMoreDimensionsThanTheBatchHas) {
  EXPECT_THROW((void)grid().to_event(3), ShapeError);
  EXPECT_THROW((void)grid().to_event(-1), ShapeError);
}

TEST(Independent, CarriesTheGradient) {
  const std::vector<at::Tensor> inputs = {at::tensor({0.1, 2.0}, at::kDouble),
                                          at::tensor({0.4, 1.5}, at::kDouble)};
  const auto x = at::tensor({1.0, -1.0}, at::kDouble);
  const auto f = [&](const std::vector<at::Tensor>& in) {
    return Normal(in[0], in[1]).to_event(1).log_prob(x);
  };
  EXPECT_LE(gradient_error(f, inputs), kGradientTolerance);
}

TEST(Independent, SharesWhatItsBaseCanDo) {
  const auto coin = Bernoulli(at::full({2}, 0.5, at::kDouble)).to_event(1);
  EXPECT_TRUE(coin.is_discrete());
  EXPECT_FALSE(coin.has_rsample());
  EXPECT_THROW((void)coin.rsample(Noise(1)), Error);
  EXPECT_THROW((void)coin.cdf(scalar(0)), Error);
}

TEST(BroadcastShape, JoinsFromTheRight) {
  EXPECT_EQ(detail::broadcast_shape("x", {4, 1}, {3}), (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(detail::broadcast_shape("x", {}, {2, 3}), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(detail::broadcast_shape("x", {0}, {1}), (std::vector<int64_t>{0}));
  try {
    (void)detail::broadcast_shape("Law", {4, 2}, {3});
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "Law: shapes [4, 2] and [3] do not broadcast");
  }
}

TEST(Distribution, SaysWhatItCannotDo) {
  try {
    (void)Categorical(at::ones({2}, at::kDouble)).mean();
    FAIL();
  } catch (const UnsupportedError& error) {
    EXPECT_STREQ(error.what(), "Categorical: no mean in closed form");
  }
}

TEST(Distribution, NamesTheFirstOfSeveralBadParameters) {
  const auto scale = at::tensor({1., 2., 3., 4., -5., 6., -7., 8., -9.}, at::kDouble).view({3, 3});
  try {
    (void)Normal(scalar(0), scale);
    FAIL();
  } catch (const DomainError& error) {
    EXPECT_STREQ(error.what(), "Normal: scale must be > 0, got -5 at [1, 1]");
  }
}

TEST(WithoutValidation, LetsBadParametersThroughToADensityThatIsNotFinite) {
  const auto bad = at::tensor({1., -1.}, at::kDouble);
  {
    const WithoutValidation outer;
    { const WithoutValidation inner; }
    const auto density = Normal(scalar(0), bad).log_prob(scalar(0.5));
    EXPECT_TRUE(density[0].isfinite().item<bool>());
    EXPECT_FALSE(density[1].isfinite().item<bool>());
    EXPECT_FALSE(Uniform(scalar(2), scalar(1)).log_prob(scalar(1.5)).isfinite().item<bool>());
  }
  EXPECT_THROW((void)Normal(scalar(0), bad), DomainError);
  EXPECT_THROW((void)Uniform(scalar(2), scalar(1)), DomainError);
}

// What Independent computes of a row at once is the sum of its elements.
TEST(Independent, SumsRowsInOnePassAsElementByElement) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const double tolerance = type == at::kFloat ? 2e-6 : 1e-13;
    const auto mu = Noise(1).normal({7, 20}, type), log_var = Noise(2).normal({7, 20}, type);
    const auto x = Noise(3).uniform({5, 7, 20}, type);
    const auto expect = [&](const Distribution& law) {
      const auto sums = law.log_prob(x).sum(-1);
      const auto rows = Independent(law.clone(), 1).log_prob(x);
      EXPECT_TRUE(rows.allclose(sums, tolerance, tolerance)) << law.name();
      EXPECT_FALSE(rows.allclose(sums + 0.01, tolerance, tolerance));
    };
    expect(Bernoulli::from_logits(mu));
    expect(Normal::from_log_var(mu, log_var));
    expect(Normal(mu, log_var.exp()));
    expect(Normal::standard({7, 20}, type));

    const auto q = Normal::from_log_var(mu, log_var);
    const Normal same(mu, (0.5 * log_var).exp());
    const auto p = Normal::standard({7, 20}, type);
    const Normal prior(at::zeros({7, 20}, type), at::ones({7, 20}, type));
    const auto kl = kl_divergence(same, prior);
    EXPECT_TRUE(kl_divergence(q, p).allclose(kl, tolerance, tolerance));
    EXPECT_TRUE(
        kl_divergence(q.to_event(1), p.to_event(1)).allclose(kl.sum(-1), tolerance, tolerance));
  }
}

}  // namespace
}  // namespace elbo
