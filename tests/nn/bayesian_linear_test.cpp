#include "elbo/nn/bayesian_linear.h"

#include "elbo/error.h"

namespace elbo::nn {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);
constexpr int64_t kParticles = 3, kRows = 5, kIn = 4, kOut = 2;

at::Tensor numbers(const char* site, at::IntArrayRef shape) {
  return Noise(3).site(site).normal(shape, kDouble);
}

struct Layer {
  at::Tensor x = numbers("x", {kParticles, kRows, kIn});
  LayerWeights mean = {numbers("mw", {kOut, kIn}), numbers("mb", {kOut})};
  LayerWeights variance = {numbers("vw", {kOut, kIn}).square(), numbers("vb", {kOut}).square()};
  LayerWeights draw = {numbers("w", {kParticles, 1, kOut, kIn}),
                       numbers("b", {kParticles, 1, kOut})};
};

double distance(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b).abs().max().item<double>();
}

TEST(SharedLinear, GivesEachParticleItsOwnWeights) {
  const Layer l;
  const auto y = shared_linear(l.x, l.draw, Activation::kTanh);
  for (int64_t i = 0; i < kParticles; ++i) {
    const auto expected = linear(l.x[i], l.draw.weight[i][0], l.draw.bias[i][0], Activation::kTanh);
    EXPECT_LT(distance(y[i], expected), 1e-14);
    const LayerWeights one = {l.draw.weight.narrow(0, i, 1), l.draw.bias.narrow(0, i, 1)};
    EXPECT_LT(distance(shared_linear(l.x.narrow(0, i, 1), one, Activation::kTanh)[0], expected),
              1e-14);
  }
}

TEST(LocalLinear, IsTheMeansActivationPlusNoiseOfTheVariancesSize) {
  const Layer l;
  const auto noise = Noise(4).particles(kParticles).rows(at::arange(kRows));
  const auto epsilon = noise.normal({kParticles, kRows, kOut}, kDouble);
  const auto mean = (l.x.unsqueeze(2) * l.mean.weight).sum(-1) + l.mean.bias;
  const auto variance = (l.x.unsqueeze(2).square() * l.variance.weight).sum(-1) + l.variance.bias;
  EXPECT_LT(
      distance(local_linear(l.x, l.mean, l.variance, noise), mean + variance.sqrt() * epsilon),
      1e-13);
}

TEST(FlipoutLinear, IsALinearLayerWithSignsOfItsOwnForEachRow) {
  const Layer l;
  const auto noise = Noise(4).particles(kParticles).rows(at::arange(kRows));
  const auto y = flipout_linear(l.x, l.mean, l.draw, noise);
  const auto sign = [&](const char* site, int64_t width) {
    return noise.site(site).uniform({kParticles, kRows, width}, kDouble).gt(0.5).to(at::kDouble) *
               2 -
           1;
  };
  const auto of_in = sign("in", kIn), of_out = sign("out", kOut);
  const auto weight =
      l.mean.weight + of_out.unsqueeze(-1) * of_in.unsqueeze(-2) * (l.draw.weight - l.mean.weight);
  const auto bias = l.mean.bias + of_out * (l.draw.bias - l.mean.bias);
  EXPECT_LT(distance(y, (l.x.unsqueeze(2) * weight).sum(-1) + bias), 1e-13);
}

WeightPosterior posterior_of(WeightFamily family) {
  WeightPosterior q({{"h.weight", {kOut, kIn}}, {"h.bias", {kOut}}}, {.family = family}, kDouble);
  initialise(q.parameters(), Init::kXavier, Noise(2));
  return q;
}

TEST(BayesianLayers, FindTheirWeightsByNameAndNoiseByRow) {
  const auto q = posterior_of(WeightFamily::kMeanField);
  const auto w = q.law()->expand({kParticles, 1})->sample(Noise(8).particles(kParticles));
  const auto x = numbers("x", {kParticles, kRows, kIn});
  const auto pass = [&](WeightDraws draws, const at::Tensor& rows) {
    const BayesianLayers layers(q, draws, w, [&](const std::string& layer) {
      return Noise(9).site(layer).particles(kParticles).rows(rows);
    });
    return layers.linear(x.index_select(1, rows), "h", Activation::kTanh);
  };
  const LayerWeights mean = {q.loc("h.weight"), q.loc("h.bias")};
  const LayerWeights draw = {q.part(w, "h.weight"), q.part(w, "h.bias")};
  const LayerWeights variance = {q.part(q.variance(), "h.weight"), q.part(q.variance(), "h.bias")};
  const auto all = at::arange(kRows);
  const auto noise = Noise(9).site("h").particles(kParticles).rows(all);
  EXPECT_TRUE(pass(WeightDraws::kShared, all).equal(shared_linear(x, draw, Activation::kTanh)));
  EXPECT_TRUE(pass(WeightDraws::kLocal, all)
                  .equal(local_linear(x, mean, variance, noise, Activation::kTanh)));
  EXPECT_TRUE(pass(WeightDraws::kFlipout, all)
                  .equal(flipout_linear(x, mean, draw, noise, Activation::kTanh)));
  const auto some = at::tensor({3, 0}, at::kLong);  // a row sees the same noise in any batch
  for (const auto draws : {WeightDraws::kShared, WeightDraws::kLocal, WeightDraws::kFlipout})
    EXPECT_LT(distance(pass(draws, some), pass(draws, all).index_select(1, some)), 1e-14);
}

TEST(BayesianLayers, RefuseDrawsThatAreNotOfTheLaw) {
  const auto q = posterior_of(WeightFamily::kCholesky);
  const auto w = q.law()->expand({1, 1})->sample(Noise(8));
  const auto no_noise = [](const std::string&) { return Noise(0); };
  EXPECT_NO_THROW(BayesianLayers(q, WeightDraws::kShared, w, no_noise));
  EXPECT_THROW(BayesianLayers(q, WeightDraws::kLocal, w, no_noise), ConfigError);
  EXPECT_THROW(BayesianLayers(q, WeightDraws::kFlipout, w, no_noise), ConfigError);
}

TEST(WeightDraws, NamesGoBothWays) {
  for (const char* name : {"shared", "local", "flipout"})
    EXPECT_EQ(to_string(parse_weight_draws(name)), name);
  EXPECT_THROW((void)parse_weight_draws("global"), ConfigError);
}

}  // namespace
}  // namespace elbo::nn
