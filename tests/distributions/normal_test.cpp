#include "elbo/distributions/normal.h"

#include <functional>

#include "distributions/laws.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/uniform.h"

namespace elbo {
namespace {

using namespace testing;

at::Tensor values(std::vector<double> v) { return at::tensor(v, at::kDouble); }

TEST(Normal, OfLogVarAgreesWithTheTable) {
  const auto of_log_var = [](const std::vector<at::Tensor>& p, Validate) {
    return Normal::from_log_var(p[0], 2 * p[1].log()).clone();
  };
  const LawInfo law{"Normal", {}, of_log_var};
  expect_table(law, at::kDouble, kTableTolerance);
  expect_table(law, at::kFloat, kSingleTolerance);
}

TEST(Normal, RejectsInvalidParameters) {
  auto scale = at::ones({4, 8}, at::kDouble);
  scale[3][7] = -1;
  expect_domain_error([&] { Normal(at::zeros({8}, at::kDouble), scale); },
                      "Normal: scale must be > 0, got -1 at [3, 7]");
  expect_domain_error([] { Normal(scalar(0), scalar(0)); }, "Normal: scale must be > 0, got 0");
  expect_domain_error([] { Normal(scalar(0), scalar(NAN)); }, "Normal: scale must be > 0, got nan");
  expect_domain_error(
      [] {
        Normal(values({0, INFINITY}), scalar(1));
      },
      "Normal: loc must be finite, got inf at [1]");
  EXPECT_NO_THROW(Normal(scalar(0), scalar(-1), Validate::kNo));
  EXPECT_THROW(Normal(at::zeros({3}, at::kDouble), at::ones({2}, at::kDouble)), ShapeError);
}

TEST(Normal, HasShapesSampleBatchEvent) {
  const Normal law(at::zeros({4, 1}, at::kDouble), at::ones({3}, at::kDouble));
  EXPECT_EQ(law.batch_shape(), (std::vector<int64_t>{4, 3}));
  EXPECT_TRUE(law.event_shape().empty());
  EXPECT_EQ(law.sample(Noise(1), {5, 2}).sizes(), at::IntArrayRef({5, 2, 4, 3}));
  EXPECT_EQ(law.rsample(Noise(1)).sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(law.log_prob(at::zeros({5, 4, 3}, at::kDouble)).sizes(), at::IntArrayRef({5, 4, 3}));
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(law.variance().sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(law.entropy().sizes(), at::IntArrayRef({4, 3}));
  const auto wide = law.expand({6, 4, 3});
  EXPECT_EQ(wide->batch_shape(), (std::vector<int64_t>{6, 4, 3}));
  EXPECT_TRUE(wide->log_prob(scalar(0.3))[5].allclose(law.log_prob(scalar(0.3))));
  EXPECT_EQ(Normal::standard({2, 5}, at::kDouble).batch_shape(), (std::vector<int64_t>{2, 5}));
}

TEST(Normal, RefusesToExpandToAShapeThatItsBatchDoesNotBroadcastTo) {
  const Normal law(at::zeros({2, 3}, at::kDouble), at::ones({3}, at::kDouble));
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{3}, {4, 3}, {2, 1}, {2, 3, 1}})
    EXPECT_THROW((void)law.expand(shape), ShapeError) << shape;
  const Normal of_rows(at::zeros({3}, at::kDouble), at::ones({3}, at::kDouble));
  const auto twice = of_rows.expand({2, 3});  // whose parameters are still [3]
  EXPECT_THROW((void)twice->expand({4, 3}), ShapeError);
  EXPECT_THROW((void)twice->expand({3}), ShapeError);
  EXPECT_EQ(twice->expand({4, 2, 3})->batch_shape(), (std::vector<int64_t>{4, 2, 3}));
}

TEST(Normal, ExpandedIsAsManyLaws) {
  const auto mu = values({0.5, -1, 2}).view({1, 3}).requires_grad_();
  const auto log_var = values({-0.5, 0.1, 1, -2, 0.7, 0.3}).view({2, 3}).requires_grad_();
  const auto law = Normal::from_log_var(mu, log_var);
  const auto wide = law.expand({5, 2, 3});
  const auto written_out = Normal::from_log_var(mu.expand({5, 2, 3}), log_var.expand({5, 2, 3}));
  const auto x = Noise(2).normal({5, 2, 3}, at::kDouble);
  for (const auto& f : std::vector<std::function<at::Tensor(const Distribution&)>>{
           [](const Distribution& d) { return d.rsample(Noise(1)); },
           [](const Distribution& d) { return d.rsample(Noise(1), {4}); },
           [&](const Distribution& d) { return d.log_prob(x); },
           [&](const Distribution& d) { return d.log_prob(x[0][0]); },
           [&](const Distribution& d) { return d.log_prob_sum(x[0], 1); },
           [](const Distribution& d) { return d.cdf(scalar(0.2)); },
           [](const Distribution& d) { return d.log_cdf(scalar(0.2)); },
           [](const Distribution& d) { return d.log_survival(scalar(0.2)); },
           [](const Distribution& d) { return d.icdf(scalar(0.2)); },
           [](const Distribution& d) { return d.entropy(); },
           [](const Distribution& d) { return d.mean(); },
           [](const Distribution& d) { return d.variance(); },
           [](const Distribution& d) {
             return d.expand({7, 5, 2, 3})->log_prob(scalar(0.2));
           },
           [](const Distribution& d) { return kl_divergence(d, Normal(scalar(0.3), scalar(2))); },
           [](const Distribution& d) {
             return kl_divergence(Uniform(scalar(-1), scalar(2)), d);
           }}) {
    const auto found = f(*wide), expected = f(written_out);
    ASSERT_EQ(found.sizes(), expected.sizes());
    EXPECT_TRUE(at::allclose(found, expected, 1e-14, 1e-14));
    const auto weights = 1 + 0.1 * at::arange(found.numel(), at::kDouble).view(found.sizes());
    const auto gradient = [&](const at::Tensor& y) {
      return torch::autograd::grad({(y * weights).sum()}, {mu, log_var}, {}, {}, false,
                                   /*allow_unused=*/true);
    };
    const auto slopes = gradient(found), expected_slopes = gradient(expected);
    for (size_t k = 0; k < 2; ++k) {
      if (!expected_slopes[k].defined()) continue;
      EXPECT_TRUE(at::allclose(slopes[k], expected_slopes[k], 1e-12, 1e-12));
    }
  }
  // In float32 by fused kernels.
  const auto single = Normal::from_log_var(mu.detach().to(at::kFloat).requires_grad_(),
                                           log_var.detach().to(at::kFloat).requires_grad_());
  const auto z = single.expand({5, 2, 3})->rsample(Noise(1));
  const auto density = single.expand({5, 2, 3})->log_prob_sum(z * z, 1);
  const auto slopes = torch::autograd::grad({density.sum()}, {single.loc(), single.log_var()});
  const auto z64 = written_out.rsample(Noise(1));
  const auto expected =
      torch::autograd::grad({written_out.log_prob_sum(z64 * z64, 1).sum()}, {mu, log_var});
  for (size_t k = 0; k < 2; ++k)
    EXPECT_TRUE(at::allclose(slopes[k].to(at::kDouble), expected[k], 1e-5, 1e-4));
}

TEST(Normal, GradientsAgreeWithDifferences) {
  const auto x = values({-3, 0.2, 5});
  const std::vector<at::Tensor> inputs = {x, values({0.5, 0.1, -2}), values({0.3, 1, 2.5})};
  const auto with = [](auto method) {
    return
        [method](const std::vector<at::Tensor>& in) { return method(Normal(in[1], in[2]), in[0]); };
  };
  const TensorFunction functions[] = {
      with([](const Normal& law, const at::Tensor& x) { return law.log_prob(x); }),
      with([](const Normal& law, const at::Tensor& x) { return law.cdf(x); }),
      with([](const Normal& law, const at::Tensor& x) { return law.log_cdf(x); }),
      with([](const Normal& law, const at::Tensor& x) { return law.icdf(x.sigmoid()); }),
      with([](const Normal& law, const at::Tensor& x) { return law.entropy() + 0 * x; }),
      with([](const Normal& law, const at::Tensor& x) { return law.rsample(Noise(2), {4}) * x; }),
  };
  for (const auto& f : functions) EXPECT_LE(gradient_error(f, inputs), kGradientTolerance);
  const auto from_log_var = [](const std::vector<at::Tensor>& in) {
    return Normal::from_log_var(in[1], in[2]).log_prob(in[0]);
  };
  EXPECT_LE(gradient_error(from_log_var, inputs), kGradientTolerance);
  const auto planted = [](const std::vector<at::Tensor>& in) {
    return Normal(in[1], in[2].detach()).log_prob(in[0]);
  };
  EXPECT_GT(gradient_error(planted, inputs), 1e-2) << "a planted missing gradient";
}

TEST(Normal, LogCdfHasAGradientInTheTails) {
  auto x = values({-40, -1, 0, 1, 40}).requires_grad_();
  Normal(scalar(0), scalar(1)).log_cdf(x).sum().backward();
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
  // d log Phi(t) / dt = phi(t) / Phi(t) -> -t - 1/t + 2/t^3 in the lower tail.
  EXPECT_NEAR(x.grad()[0].item<double>(), 40 + 1.0 / 40 - 2.0 / 64000, 1e-6);
}

TEST(Normal, SampleCarriesNoGradient) {
  const Normal law(scalar(0).requires_grad_(), scalar(1));
  EXPECT_FALSE(law.sample(Noise(1)).requires_grad());
  EXPECT_TRUE(law.rsample(Noise(1)).requires_grad());
  EXPECT_TRUE(law.sample(Noise(1)).equal(law.rsample(Noise(1)).detach()));
  EXPECT_TRUE(law.has_rsample());
  EXPECT_FALSE(law.is_discrete());
}

TEST(Normal, ReparameterisesAsLocPlusScaleTimesNoise) {
  const auto epsilon = Noise(4).normal({3}, at::kDouble);
  const auto draw = Normal(scalar(2), scalar(3)).rsample(Noise(4), {3});
  EXPECT_TRUE(draw.allclose(2 + 3 * epsilon, 1e-14, 1e-14));
}

}  // namespace
}  // namespace elbo
