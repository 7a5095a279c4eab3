#include "elbo/distributions/dirichlet.h"

#include "distributions/multivariate.h"
#include "elbo/distributions/gamma.h"
#include "elbo/kernels/math.h"

namespace elbo {
namespace {

using namespace testing;

TEST(Dirichlet, AgreesWithTheTable) {
  expect_multivariate_table("Dirichlet", [](const json& p, at::ScalarType type) {
    return Dirichlet(tensor_of(p["concentration"], type)).clone();
  });
}

TEST(Dirichlet, RejectsInvalidParameters) {
  expect_domain_error(
      [] {
        Dirichlet{values({1, 2, 0, 1}, {2, 2})};
      },
      "Dirichlet: concentration must be > 0, got 0 at [1, 0]");
  EXPECT_NO_THROW(Dirichlet(values({-1, 2}, {2}), Validate::kNo));
  EXPECT_THROW(Dirichlet{scalar(1)}, ShapeError);
}

TEST(Dirichlet, HasShapesSampleBatchEvent) {
  expect_shapes(Dirichlet(values({0.5, 1, 3}, {3})), {}, {3});
  const Dirichlet law(at::full({4, 2, 3}, 0.7, at::kDouble));
  expect_shapes(law, {4, 2}, {3});
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({4, 2, 3}));
  EXPECT_EQ(law.variance().sizes(), at::IntArrayRef({4, 2, 3}));
  EXPECT_EQ(law.entropy().sizes(), at::IntArrayRef({4, 2}));
}

TEST(Dirichlet, ModeIsOnTheFaceWhereConcentrationsAreSmall) {
  EXPECT_TRUE(Dirichlet(values({0.5, 3, 2}, {3})).mode().allclose(values({0, 2, 1}, {3}) / 3));
  EXPECT_TRUE(Dirichlet(values({0.5, 0.9, 0.2}, {3})).mode().equal(values({0, 1, 0}, {3})));
  EXPECT_TRUE(Dirichlet(values({1, 1}, {2})).mode().isnan().all().item<bool>());
}

TEST(Dirichlet, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({0.3, -1, 2, 0.5, 1.5, -0.2}, {2, 3}),
                                          values({0.05, 1, 7}, {3})};
  expect_gradients(
      {[](const auto& in) { return Dirichlet(in[1]).log_prob(in[0].softmax(-1)); },
       [](const auto& in) { return Dirichlet(in[1]).entropy(); },
       [](const auto& in) { return Dirichlet(in[1]).mean() + Dirichlet(in[1]).variance(); }},
      inputs);
}

TEST(Dirichlet, HasNoNanGradientOutsideTheSimplex) {
  const auto a = values({0.5, 2}, {2}).requires_grad_();
  const auto x = values({-1, 2, 0.3, 0.7}, {2, 2}).requires_grad_();
  const auto log_prob = Dirichlet(a).log_prob(x);
  EXPECT_EQ(log_prob[0].item<double>(), -INFINITY);
  log_prob.sum().backward();
  EXPECT_TRUE(a.grad().isfinite().all().item<bool>());
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
}

TEST(Dirichlet, DrawsHaveItsMomentsAndEntropy) {
  for (const auto& law : {Dirichlet(values({0.5, 1, 3}, {3})), Dirichlet(values({20, 50}, {2}))}) {
    expect_moments(law);
    expect_entropy(law);
  }
  // In logarithms: gammas of these concentrations are 0 in float64, most of them.
  const Dirichlet small(values({1e-3, 2e-3, 5e-4}, {3}));
  expect_moments(small);
  const auto x = small.sample(Noise(1), {1000});
  EXPECT_TRUE((x > 0).all().item<bool>());
  EXPECT_GT((x.amax(-1) > 0.999).to(at::kDouble).mean().item<double>(), 0.97) << "corners";
}

TEST(Dirichlet, DrawIsDifferentiatedImplicitly) {
  // log x_0 = l_0 - log(e^l_0 + e^l_1) for the logarithms l of gammas z, so that the slope by a_0
  // is (1 - x_0) dl_0 / da_0; that of z at a fixed F(z; a) by differences.
  for (const double concentration : {0.02, 0.4, 1.0, 3.5, 60.0}) {
    const auto a = values({concentration, 1.7}, {2}).expand({50, 2}).clone().requires_grad_();
    const auto x = Dirichlet(a).rsample(Noise(3));
    x.select(1, 0).log().sum().backward();
    const auto gammas =
        Noise(3).draw([](Noise::Stream<double>& stream,
                         const double* p) { return laws::Gamma::standard(stream, *p); },
                      {50, 2}, {a.detach()});
    const auto expected = gammas / gammas.sum(-1, true);
    EXPECT_LE(deviation(x, expected), 1e-12);
    for (int64_t i = 0; i < 50; ++i) {
      const double z = gammas[i][0].item<double>();
      const bool lower = math::gamma_p(concentration, z) < 0.5;
      const auto log_quantile = [&](double at) {
        return std::log(lower ? math::gamma_p_inverse(at, math::gamma_p(concentration, z))
                              : math::gamma_q_inverse(at, math::gamma_q(concentration, z)));
      };
      const double h = 1e-5 * concentration;
      const double slope =
          (log_quantile(concentration + h) - log_quantile(concentration - h)) / (2 * h);
      const double truth = (1 - expected[i][0].item<double>()) * slope;
      const double got = a.grad()[i][0].item<double>();
      EXPECT_LE(std::abs(got - truth), 1e-7 * std::max(1.0, std::abs(slope)))
          << "concentration " << concentration << ", z = " << z << ": " << got << ", " << truth;
    }
  }
}

TEST(Dirichlet, GradientIsThatOfTheExpectation) {
  // E[x_0] = a_0 / (a_0 + a_1)
  for (const double concentration : {0.01, 0.5, 4.0}) {
    const auto a =
        values({concentration, 2 * concentration}, {2}).expand({kMomentDraws, 2}).clone();
    a.requires_grad_();
    Dirichlet(a).rsample(Noise(4).draws(kMomentDraws)).select(1, 0).sum().backward();
    const auto slopes = a.grad() * concentration;
    EXPECT_LE(estimate(slopes.select(1, 0)).z(2.0 / 9), kZStar);
    EXPECT_LE(estimate(slopes.select(1, 1)).z(-1.0 / 9), kZStar);
    EXPECT_GT(estimate(slopes.select(1, 0)).z(2.4 / 9), kZStar) << "planted";
  }
}

}  // namespace
}  // namespace elbo
