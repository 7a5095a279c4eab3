#include "elbo/distributions/elliptical.h"

#include "distributions/multivariate.h"

namespace elbo {
namespace {

using namespace testing;

/// Uniform on the unit ball: a radial law of a user's own.
class BallRadial final : public Radial {
 public:
  at::Tensor rsample(const Noise& noise, at::IntArrayRef shape, int64_t dim,
                     const at::TensorOptions& options) const override {
    return noise.uniform(shape, options).pow(1.0 / static_cast<double>(dim));
  }
  at::Tensor log_density(const at::Tensor& squared, int64_t dim) const override {
    const double half = 0.5 * static_cast<double>(dim);
    const double log_volume = half * std::log(M_PI) - std::lgamma(half + 1);
    return at::where(squared <= 1, scalar(-log_volume), scalar(-INFINITY));
  }
  at::Tensor second_moment(int64_t dim) const override {
    return scalar(1.0 / static_cast<double>(dim + 2));
  }
  RadialPtr expand(at::IntArrayRef) const override { return std::make_shared<BallRadial>(); }
};

const at::Tensor kLoc = values({1, -2}, {2});
const at::Tensor kLower = values({2, 0, -1.5, 0.5}, {2, 2});

Elliptical normal() { return {kLoc, kLower, std::make_shared<NormalRadial>()}; }
Elliptical ball() { return {kLoc, kLower, std::make_shared<BallRadial>()}; }

TEST(Elliptical, OfTheNormalRadiusIsTheNormalLaw) {
  expect_multivariate_table("MultivariateNormal", [](const json& p, at::ScalarType type) {
    // mode: the radial law says nothing of it
    struct WithMode final : public Elliptical {
      using Elliptical::Elliptical;
      at::Tensor mode() const override { return loc(); }
    };
    return std::make_shared<WithMode>(tensor_of(p["loc"], type), tensor_of(p["scale_tril"], type),
                                      std::make_shared<NormalRadial>());
  });
}

TEST(Elliptical, RejectsInvalidParameters) {
  const auto radial = std::make_shared<NormalRadial>();
  expect_domain_error([&] { Elliptical(kLoc, -kLower, radial); },
                      "Elliptical: the diagonal of scale_tril must be > 0, got -2 at [0]");
  expect_domain_error([&] { Elliptical(kLoc * NAN, kLower, radial); },
                      "Elliptical: loc must be finite, got nan at [0]");
  EXPECT_NO_THROW(Elliptical(kLoc, -kLower, radial, Validate::kNo));
  EXPECT_THROW(Elliptical(kLoc, kLower, nullptr), ConfigError);
  EXPECT_THROW(Elliptical(kLoc, at::eye(3, at::kDouble), radial), ShapeError);
  EXPECT_THROW((void)ball().entropy(), UnsupportedError);
  EXPECT_THROW((void)ball().mode(), UnsupportedError);
}

TEST(Elliptical, HasShapesSampleBatchEvent) {
  expect_shapes(normal(), {}, {2});
  expect_shapes(ball(), {}, {2});
  const auto radial = std::make_shared<BallRadial>();
  const Elliptical law(at::zeros({4, 1, 2}, at::kDouble), at::stack({kLower, 3 * kLower}), radial);
  expect_shapes(law, {4, 2}, {2});
  EXPECT_EQ(law.mean().sizes(), at::IntArrayRef({4, 2, 2}));
  EXPECT_EQ(law.variance().sizes(), at::IntArrayRef({4, 2, 2}));
  EXPECT_EQ(law.covariance_matrix().sizes(), at::IntArrayRef({4, 2, 2, 2}));
  EXPECT_EQ(Elliptical(kLoc.to(at::kFloat), kLower.to(at::kFloat), radial).sample(Noise(1)).dtype(),
            at::kFloat);
}

TEST(Elliptical, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {values({0.3, -1, 2, 0.5, 1.5, -0.2}, {3, 2}), kLoc,
                                          values({0.3, 9, -1.5, -0.4}, {2, 2})};
  const auto law = [](const auto& in) {
    return Elliptical(in[1], tril_of(in[2]), std::make_shared<NormalRadial>());
  };
  expect_gradients({[&](const auto& in) { return law(in).log_prob(in[0]); },
                    [&](const auto& in) { return law(in).rsample(Noise(2), {4}); },
                    [&](const auto& in) { return law(in).entropy(); },
                    [&](const auto& in) { return law(in).covariance_matrix(); }},
                   inputs);
}

TEST(Elliptical, DrawsHaveItsMoments) {
  expect_moments(normal());
  expect_entropy(normal());
  expect_moments(ball());
  for (const auto& law : {normal(), ball()}) {
    const auto x = law.sample(Noise(9).draws(kMomentDraws), {kMomentDraws}) - kLoc;
    EXPECT_LE(
        estimate(x.select(1, 0) * x.select(1, 1)).z(law.covariance_matrix()[0][1].item<double>()),
        kZStar);
  }
  // All of the ball is reached, and nothing else.
  const auto x = ball().sample(Noise(3), {1000});
  EXPECT_TRUE(ball().log_prob(x).isfinite().all().item<bool>());
  EXPECT_EQ(ball().log_prob(kLoc + 3).item<double>(), -INFINITY);
}

}  // namespace
}  // namespace elbo
