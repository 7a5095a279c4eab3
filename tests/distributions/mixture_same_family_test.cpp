#include "elbo/distributions/mixture_same_family.h"

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "distributions/quadrature.h"
#include "distributions/table.h"
#include "elbo/distributions/gamma.h"
#include "elbo/distributions/gompertz.h"
#include "elbo/distributions/transformed_distribution.h"

namespace elbo {
namespace {

using namespace testing;
using Kind = Constraint::Kind;

constexpr double kInf = std::numeric_limits<double>::infinity();

at::Tensor vector(std::vector<double> values) { return at::tensor(values, at::kDouble); }

const at::Tensor kWeights = vector({0.2, 0.5, 0.3});
const at::Tensor kLoc = vector({-2, 0.5, 3});
const at::Tensor kScale = vector({0.5, 1.5, 0.8});

MixtureSameFamily of_normals(const at::Tensor& logits, const at::Tensor& loc,
                             const at::Tensor& scale) {
  return {Categorical::from_logits(logits), Normal(loc, scale).clone()};
}
MixtureSameFamily three() { return of_normals(kWeights.log(), kLoc, kScale); }

/// log sum_k w_k exp(terms[k]) in long double.
double log_mean(const at::Tensor& terms) {
  long double total = 0;
  const auto largest = static_cast<long double>(terms.max().item<double>());
  for (int64_t k = 0; k < terms.numel(); ++k)
    total += static_cast<long double>(kWeights[k].item<double>()) *
             std::exp(static_cast<long double>(terms[k].item<double>()) - largest);
  return static_cast<double>(std::log(total) + largest);
}

TEST(MixtureSameFamily, DensityIsTheSumOverComponents) {
  const auto law = three();
  EXPECT_EQ(law.name(), "MixtureSameFamily(Normal)");
  const Normal component(kLoc, kScale);
  for (const double at : {-60.0, -8.0, -2.0, 0.0, 1.7, 3.0, 9.0, 80.0}) {
    const auto x = scalar(at);
    EXPECT_PRED2(close, law.log_prob(x).item<double>(), log_mean(component.log_prob(x)));
    EXPECT_PRED2(close, law.log_cdf(x).item<double>(), log_mean(component.log_cdf(x)));
    // 1 - F(x) = F(-x) with the locations mirrored
    EXPECT_PRED2(close, of_normals(kWeights.log(), -kLoc, kScale).log_cdf(-x).item<double>(),
                 log_mean(Normal(-kLoc, kScale).log_cdf(-x)));
    EXPECT_PRED2(close, law.cdf(x).item<double>(),
                 (kWeights * component.cdf(x)).sum().item<double>());
  }
  const MixtureSameFamily gammas(Categorical(kWeights),
                                 Gamma(vector({0.5, 2, 9}), vector({1, 3, 0.5})).clone());
  const Gamma gamma(vector({0.5, 2, 9}), vector({1, 3, 0.5}));
  for (const double at : {1e-8, 0.5, 20.0, 300.0})
    EXPECT_PRED2(close, gammas.log_survival(scalar(at)).item<double>(),
                 log_mean(gamma.log_survival(scalar(at))));
}

TEST(MixtureSameFamily, CdfAndMomentsAgreeWithQuadrature) {
  const auto law = three();
  const auto density = [&](const at::Tensor& x) { return law.log_prob(x).exp(); };
  for (const double x : {-2.5, 0.0, 1.0, 4.0})
    EXPECT_NEAR(law.cdf(scalar(x)).item<double>(), integral(density, -20, x), 1e-11);
  EXPECT_NEAR(integral(density, -20, 20), 1, 1e-12);
  const double mean = integral([&](const auto& x) { return x * density(x); }, -20, 20);
  EXPECT_NEAR(law.mean().item<double>(), mean, 1e-10);
  EXPECT_NEAR(law.variance().item<double>(),
              integral([&](const auto& x) { return (x - mean).square() * density(x); }, -20, 20),
              1e-10);
}

TEST(MixtureSameFamily, HasShapesSampleBatchEvent) {
  const auto parameters = [](std::vector<int64_t> shape) {
    return Normal(Noise(5).normal(shape, at::kDouble), at::ones(shape, at::kDouble));
  };
  struct Shapes {
    std::vector<int64_t> weights;
    DistributionPtr component;
    std::vector<int64_t> batch, event;
  };
  const Shapes all[] = {
      {{3}, parameters({3}).clone(), {}, {}},
      {{3}, parameters({4, 3}).clone(), {4}, {}},
      {{4, 3}, parameters({3}).clone(), {4}, {}},
      {{2, 1, 3}, parameters({4, 3}).clone(), {2, 4}, {}},
      {{4, 3}, parameters({4, 3, 2}).to_event(1).clone(), {4}, {2}},
      {{3}, parameters({4, 3, 2, 5}).to_event(2).clone(), {4}, {2, 5}},
  };
  for (const auto& row : all) {
    const MixtureSameFamily law(Categorical(at::ones(row.weights, at::kDouble)), row.component);
    EXPECT_EQ(law.batch_shape(), row.batch);
    EXPECT_EQ(law.event_shape(), row.event);
    EXPECT_TRUE(law.has_rsample());
    auto full = row.batch;
    full.insert(full.begin(), 6);
    const auto x = law.sample(Noise(1), {6});
    EXPECT_EQ(law.log_prob(x).sizes(), at::IntArrayRef(full));
    full.insert(full.end(), row.event.begin(), row.event.end());
    EXPECT_EQ(x.sizes(), at::IntArrayRef(full));
    EXPECT_TRUE(law.rsample(Noise(1), {6}).equal(x));
    full.erase(full.begin());
    EXPECT_EQ(law.mean().sizes(), at::IntArrayRef(full));
    EXPECT_EQ(law.variance().sizes(), at::IntArrayRef(full));

    auto wide = row.batch;
    wide.insert(wide.begin(), 7);
    const auto expanded = law.expand(wide);
    EXPECT_EQ(expanded->batch_shape(), wide);
    EXPECT_TRUE(expanded->log_prob(x[0])[6].allclose(law.log_prob(x[0]), 1e-13, 1e-13));
  }
}

TEST(MixtureSameFamily, MomentsOfEventsAreElementwise) {
  const auto loc = Noise(6).normal({3, 2}, at::kDouble);
  const auto scale = Noise(7).uniform({3, 2}, at::kDouble) + 0.5;
  const MixtureSameFamily law(Categorical(kWeights), Normal(loc, scale).to_event(1).clone());
  for (int64_t d = 0; d < 2; ++d) {
    const auto one = of_normals(kWeights.log(), loc.select(1, d), scale.select(1, d));
    EXPECT_PRED2(close, law.mean()[d].item<double>(), one.mean().item<double>());
    EXPECT_PRED2(close, law.variance()[d].item<double>(), one.variance().item<double>());
  }
  EXPECT_THROW((void)law.cdf(at::zeros({2}, at::kDouble)), UnsupportedError);
}

TEST(MixtureSameFamily, TakesDiscreteComponents) {
  const auto probs = vector({0.1, 0.5, 0.9});
  const MixtureSameFamily law(Categorical(kWeights), Bernoulli(probs).clone());
  EXPECT_TRUE(law.is_discrete());
  EXPECT_FALSE(law.has_rsample());
  const double p = (kWeights * probs).sum().item<double>();
  EXPECT_PRED2(close, law.log_prob(scalar(1)).item<double>(), std::log(p));
  EXPECT_PRED2(close, law.mean().item<double>(), p);
  EXPECT_PRED2(close, law.variance().item<double>(), p * (1 - p));
  EXPECT_THROW((void)law.rsample(Noise(1)), UnsupportedError);
}

TEST(MixtureSameFamily, OutsideTheSupportGradientsAreZero) {
  const auto logits = kWeights.log().requires_grad_();
  const auto rate = vector({1, 2, 3}).requires_grad_();
  const MixtureSameFamily law(Categorical::from_logits(logits),
                              Gamma(vector({1, 2, 3}), rate).clone());
  const auto log_prob = law.log_prob(vector({-1, 2}));
  EXPECT_EQ(log_prob[0].item<double>(), -kInf);
  log_prob.masked_fill(log_prob.isinf(), 0).sum().backward();
  EXPECT_TRUE(logits.grad().isfinite().all().item<bool>());
  EXPECT_TRUE(rate.grad().isfinite().all().item<bool>());
  EXPECT_EQ(law.support().kind(), Kind::kPositive);
}

TEST(MixtureSameFamily, ComponentsOfWeightZeroDoNotCount) {
  const auto law = MixtureSameFamily(Categorical(vector({0, 1})),
                                     Gompertz(vector({1, 2}), vector({1, 0.5})).clone());
  const Gompertz alone(scalar(2), scalar(0.5));
  for (const double x : {0.1, 1.0})
    EXPECT_PRED2(close, law.log_prob(scalar(x)).item<double>(),
                 alone.log_prob(scalar(x)).item<double>());
  EXPECT_TRUE(law.rsample(Noise(3), {20}).isfinite().all().item<bool>());
}

TEST(MixtureSameFamily, SupportIsTheHull) {
  const TransformedDistribution shifted(Gamma(vector({1, 2}), vector({1, 1})).clone(),
                                        {bijections::affine(vector({3, -1}), scalar(1))});
  const MixtureSameFamily law(Categorical(vector({0.5, 0.5})), shifted.clone());
  EXPECT_EQ(law.support().kind(), Kind::kAtLeast);
  EXPECT_EQ(law.support().lower().item<double>(), -1);
}

TEST(MixtureSameFamily, GradientsAgreeWithDifferences) {
  const std::vector<at::Tensor> inputs = {vector({0.2, -0.7, 1.1}), kLoc, kScale};
  const auto made = [](const auto& in) { return of_normals(in[0], in[1], in[2]); };
  const auto x = vector({-2.3, 0.4, 3.7});
  const TensorFunction functions[] = {
      [&](const auto& in) { return made(in).log_prob(x); },
      [&](const auto& in) { return made(in).cdf(x); },
      [&](const auto& in) { return made(in).log_cdf(x); },
      [&](const auto& in) { return made(in).log_survival(x); },
      [&](const auto& in) { return made(in).mean(); },
      [&](const auto& in) { return made(in).variance(); },
  };
  for (const auto& f : functions) EXPECT_LE(gradient_error(f, inputs), kGradientTolerance);
  EXPECT_LE(gradient_error([&](const auto& in) { return made(inputs).log_prob(in[0]); }, {x}),
            kGradientTolerance);
}

std::vector<at::Tensor> leaves(const std::vector<at::Tensor>& values, int64_t draws) {
  std::vector<at::Tensor> out;
  for (const auto& v : values) {
    auto shape = v.sizes().vec();
    shape.insert(shape.begin(), draws);
    out.push_back(v.expand(shape).clone().requires_grad_());
  }
  return out;
}

constexpr double kPathTolerance = 1e-8;

// dz / dtheta = -(dF / dtheta) / p, parameters of a law of its own for every draw.
TEST(MixtureSameFamily, DrawsMoveAsTheCdfSays) {
  using Make = std::function<DistributionPtr(const at::Tensor&, const at::Tensor&)>;
  const std::pair<Make, std::vector<at::Tensor>> families[] = {
      {[](const auto& a, const auto& b) { return Normal(a, b).clone(); }, {kLoc, kScale}},
      {[](const auto& a, const auto& b) { return Gamma(a, b).clone(); },
       {vector({0.4, 2, 15}), vector({1, 0.5, 3})}},
      {[](const auto& a, const auto& b) { return Gompertz(a, b).clone(); },
       {vector({0.4, 2, 1}), vector({1, 0.5, 3})}},
      {[](const auto& a, const auto& b) {
         return TransformedDistribution(Normal(a, b).clone(), {bijections::exp()}).clone();
       },
       {kLoc, kScale}},
      {[](const auto& a, const auto& b) {  // a mixture of mixtures
         return of_normals(at::zeros({2}, at::kDouble), at::stack({a, a + 1}, -1),
                           at::stack({b, 2 * b}, -1))
             .clone();
       },
       {kLoc, kScale}},
  };
  constexpr int64_t kDraws = 500;
  double worst = 0;
  for (const auto& [make, values] : families) {
    const auto p = leaves({vector({0.2, -0.7, 1.1}), values[0], values[1]}, kDraws);
    const MixtureSameFamily law(Categorical::from_logits(p[0]), make(p[1], p[2]));
    const auto z = law.rsample(Noise(8));
    EXPECT_TRUE(z.detach().equal(law.sample(Noise(8))));
    const auto got = torch::autograd::grad({z.sum()}, p, {}, /*retain_graph=*/true);
    const auto slopes = torch::autograd::grad({law.cdf(z.detach()).sum()}, p);
    const auto density = law.log_prob(z.detach()).detach().exp().unsqueeze(-1);
    for (size_t i = 0; i < p.size(); ++i) {
      const auto expected = -slopes[i] / density;
      const auto error = (got[i] - expected).abs() / expected.abs().clamp_min(1);
      EXPECT_LE(error.max().item<double>(), kPathTolerance) << law.name() << ", parameter " << i;
      worst = std::max(worst, error.max().item<double>());
    }
  }
  RecordProperty("worst", fmt::format("{:.1e}", worst));
}

/// S_d(x) = F(x_d | x_1, ..., x_(d-1)) of a mixture of diagonal normal laws, written out.
at::Tensor distributional_transform(const at::Tensor& x, const std::vector<at::Tensor>& p) {
  const Normal component(p[1], p[2]);
  const auto each = component.log_prob(x), f = component.cdf(x);  // [K, D]
  auto log_joint = at::log_softmax(p[0], -1);
  std::vector<at::Tensor> out;
  for (int64_t d = 0; d < x.numel(); ++d) {
    out.push_back((at::softmax(log_joint, -1) * f.select(1, d)).sum());
    log_joint = log_joint + each.select(1, d);
  }
  return at::stack(out);
}

TEST(MixtureSameFamily, DiagonalDrawsMoveAsTheDistributionalTransformSays) {
  constexpr int64_t kDraws = 20, kDims = 4;
  const auto loc = Noise(9).normal({3, kDims}, at::kDouble);
  const auto scale = Noise(10).uniform({3, kDims}, at::kDouble) + 0.5;
  double worst = 0, coupling = 0;
  for (int64_t draw = 0; draw < kDraws; ++draw) {
    std::vector<at::Tensor> p = {vector({0.2, -0.7, 1.1}), loc.clone(), scale.clone()};
    for (auto& v : p) v.requires_grad_();
    const auto component = Normal(p[1].view({3, 2, 2}), p[2].view({3, 2, 2})).to_event(2).clone();
    const MixtureSameFamily law(Categorical::from_logits(p[0]), component);
    const auto z = law.rsample(Noise(11, static_cast<uint64_t>(draw))).flatten();
    const auto x = z.detach().clone().requires_grad_();
    const auto s = distributional_transform(x, p);
    const auto row = [&](const at::Tensor& y, const at::Tensor& of) {
      return torch::autograd::grad({y}, {of}, {}, true, false, true)[0];
    };
    std::vector<at::Tensor> along_x;
    for (int64_t d = 0; d < kDims; ++d) along_x.push_back(row(s[d], x));
    coupling = std::max(coupling, at::stack(along_x).tril(-1).abs().max().item<double>());
    for (const auto& v : p) {
      std::vector<at::Tensor> got, along;
      for (int64_t d = 0; d < kDims; ++d) {
        got.push_back(row(z[d], v).flatten());
        along.push_back(row(s[d], v).flatten());
      }
      const auto expected = -at::linalg_solve(at::stack(along_x), at::stack(along));
      const auto error = (at::stack(got) - expected).abs() / expected.abs().clamp_min(1);
      worst = std::max(worst, error.max().item<double>());
    }
  }
  EXPECT_LE(worst, kPathTolerance);
  EXPECT_GT(coupling, 0.05) << "the coordinates are all but independent";
  RecordProperty("worst", fmt::format("{:.1e}", worst));
}

TEST(MixtureSameFamily, OneComponentMovesAsItselfDoes) {
  const auto loc = Noise(12).normal({1, 5}, at::kDouble).requires_grad_();
  const auto scale = (Noise(13).uniform({1, 5}, at::kDouble) + 0.5).requires_grad_();
  const MixtureSameFamily law(Categorical(at::ones({1}, at::kDouble)),
                              Normal(loc, scale).to_event(1).clone());
  const auto z = law.rsample(Noise(14));
  z.sum().backward();
  EXPECT_TRUE(loc.grad().allclose(at::ones({1, 5}, at::kDouble), 1e-10, 1e-10));
  EXPECT_TRUE(scale.grad().allclose((z - loc) / scale, 1e-9, 1e-9));
}

TEST(MixtureSameFamily, SingleWeightsKeepTheirDigitsInTheUpperTail) {
  const auto slope = [](double at, at::ScalarType type) {
    const auto loc = vector({at - 6, at - 4.5}).to(type), scale = at::ones({2}, type);
    const auto logits = at::zeros({500, 2}, type).requires_grad_();
    const auto law = of_normals(logits, loc, scale);
    const auto z = law.rsample(Noise(15));
    z.sum().backward();
    const auto last = z.detach().argmax();
    return std::pair{z[last].item<double>(), logits.grad()[last][0].item<double>()};
  };
  const auto [z_single, single] = slope(0, at::kFloat);
  const auto [z_double, twice] = slope(0, at::kDouble);
  EXPECT_NEAR(z_single, z_double, 1e-5);
  EXPECT_NEAR(single / twice, 1, 2e-5);
}

TEST(MixtureSameFamily, SaysWhatItCannotReparameterise) {
  const TransformedDistribution simplex(
      Normal(at::zeros({2, 3}, at::kDouble), at::ones({2, 3}, at::kDouble)).clone(),
      {bijections::stick_breaking()});
  const MixtureSameFamily law(Categorical(vector({0.5, 0.5})), simplex.clone());
  EXPECT_EQ(law.event_shape(), (std::vector<int64_t>{4}));
  EXPECT_FALSE(law.has_rsample());
  EXPECT_EQ(law.sample(Noise(1), {3}).sizes(), at::IntArrayRef({3, 4}));
  EXPECT_EQ(law.support().kind(), Kind::kSimplex);
  try {
    (void)law.rsample(Noise(1));
    FAIL();
  } catch (const UnsupportedError& error) {
    EXPECT_NE(std::string(error.what())
                  .find("no rsample; expected continuous components on the line, or Independent"),
              std::string::npos)
        << error.what();
  }
}

TEST(MixtureSameFamily, RejectsOtherNumbersOfComponents) {
  try {
    MixtureSameFamily(Categorical(vector({0.5, 0.5})), Normal(kLoc, kScale).clone());
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(),
                 "MixtureSameFamily: Normal of batch shape [3]; expected a last dimension of 2 "
                 "components");
  }
  EXPECT_THROW(MixtureSameFamily(Categorical(at::ones({2, 3})),
                                 Normal(at::zeros({4, 3}), at::ones({4, 3})).clone()),
               ShapeError);
  const MixtureSameFamily pairs(
      Categorical(vector({0.5, 0.5})),
      Normal(at::zeros({2, 3}, at::kDouble), at::ones({2, 3}, at::kDouble)).to_event(1).clone());
  EXPECT_THROW((void)pairs.log_prob(at::zeros({2}, at::kDouble)), ShapeError);
}

}  // namespace
}  // namespace elbo
