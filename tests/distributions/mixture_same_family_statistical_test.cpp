// Draws of mixtures against closed forms. Seeds are fixed, n = 1e6; false-alarm rates over seeds
// are 1e-9 a comparison (DKWM or z* = 6.11).
#include "distributions/table.h"
#include "elbo/distributions/mixture_same_family.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

at::Tensor vector(std::vector<double> values) { return at::tensor(values, at::kDouble); }

const at::Tensor kLogits = vector({0.3, -0.4, 0.1});

/// A leaf [n, ...] whose rows are the parameters of one draw each.
at::Tensor leaf(const at::Tensor& value) {
  auto shape = value.sizes().vec();
  shape.insert(shape.begin(), kKsDraws);
  return value.expand(shape).clone().requires_grad_();
}

TEST(MixtureSameFamilyStatistical, DrawsFollowTheCdf) {
  const auto mixture = [](double first) {
    return MixtureSameFamily(Categorical(vector({first, 0.5, 0.5 - first})),
                             Normal(vector({-2, 0.5, 3}), vector({0.5, 1.5, 0.8})).clone());
  };
  const auto law = mixture(0.2);
  const auto distance = [&](const MixtureSameFamily& drawn) {
    return ks_distance(law.cdf(drawn.sample(Noise(31).draws(kKsDraws), {kKsDraws})));
  };
  EXPECT_LE(distance(law), kKsLimit);
  EXPECT_GT(distance(mixture(0.21)), kKsLimit) << "planted";
}

/// The mean over draws of each column of a gradient [n, ...] against the derivative. The smallest
/// error that is surely caught is at most `tolerance` of the largest derivative.
void expect_unbiased(const at::Tensor& gradient, const at::Tensor& truth, const char* what,
                     double tolerance = 0.02) {
  const auto columns = gradient.view({kKsDraws, -1}), expected = truth.flatten();
  const double largest = expected.abs().max().item<double>();
  for (int64_t k = 0; k < columns.size(1); ++k) {
    const auto got = estimate(columns.select(1, k));
    const double value = expected[k].item<double>();
    EXPECT_LT(got.z(value), kZStar) << what << k << ": " << got.mean << ", truth " << value;
    EXPECT_LT(10.9 * got.standard_error, tolerance * largest) << what << k;
    EXPECT_GT(got.z(value + 1.6 * tolerance * largest), kZStar) << what << k << ", planted";
  }
}

// E[z] = sum_k w_k m_k and E[(z - c)^2] = sum_k w_k ((m_k - c)^2 + s_k^2).
TEST(MixtureSameFamilyStatistical, GradientsOfMomentsAreUnbiased) {
  constexpr double kCentre = 0.5;
  const auto m = vector({0, 1, 2.2}), s = vector({0.9, 0.8, 0.6});
  const auto logits = leaf(kLogits), loc = leaf(m), scale = leaf(s);
  const MixtureSameFamily law(Categorical::from_logits(logits), Normal(loc, scale).clone());
  const auto z = law.rsample(Noise(32).draws(kKsDraws));
  const auto w = kLogits.softmax(-1);
  const auto expect_logits = [&](const at::Tensor& moments) {
    expect_unbiased(logits.grad(), w * (moments - (w * moments).sum()), "logits ");
  };
  z.sum().backward({}, /*retain_graph=*/true);
  expect_logits(m);
  expect_unbiased(loc.grad(), w, "loc ");
  for (const auto& p : {logits, loc, scale}) p.mutable_grad().reset();
  (z - kCentre).square().sum().backward();
  expect_logits((m - kCentre).square() + s.square());
  expect_unbiased(loc.grad(), 2 * w * (m - kCentre), "loc ");
  expect_unbiased(scale.grad(), 2 * w * s, "scale ", 0.04);
}

// E[z_1 z_2] = sum_k w_k m_k1 m_k2: the coordinates depend on one another through the index.
TEST(MixtureSameFamilyStatistical, GradientsOfProductsAreUnbiased) {
  const auto m = vector({0.3, 0.4, 1.2, 1.0, 2.1, 1.9}).view({3, 2});
  const auto s = vector({0.6, 0.7, 0.8, 0.6, 0.7, 0.9}).view({3, 2});
  const auto logits = leaf(kLogits), loc = leaf(m), scale = leaf(s);
  const MixtureSameFamily law(Categorical::from_logits(logits),
                              Normal(loc, scale).to_event(1).clone());
  const auto z = law.rsample(Noise(33).draws(kKsDraws));
  z.select(-1, 0).mul(z.select(-1, 1)).sum().backward();
  const auto w = kLogits.softmax(-1);
  const auto product = m.prod(-1);
  expect_unbiased(logits.grad(), w * (product - (w * product).sum()), "logits ");
  expect_unbiased(loc.grad(), w.unsqueeze(-1) * m.flip(-1), "loc ");
}

}  // namespace
}  // namespace elbo
