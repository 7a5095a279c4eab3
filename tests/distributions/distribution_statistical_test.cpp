// Draws against densities. Seeds are fixed; n = 1e6 unless said; false-alarm rates over seeds are
// 1e-9 a comparison (DKWM, chi-square or z* = 6.11).
#include "distributions/table.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

/// KS distance of `n` draws of `drawn` from the law `law`.
double distance(const Distribution& drawn, const Distribution& law) {
  return ks_distance(law.cdf(drawn.sample(Noise(21).draws(kKsDraws), {kKsDraws})));
}

TEST(SamplersStatistical, NormalDrawsFollowTheCdf) {
  for (const auto& [loc, scale] : {std::pair{0.0, 1.0}, {-3.0, 0.01}, {5.0, 20.0}}) {
    const Normal law(scalar(loc), scalar(scale));
    EXPECT_LE(distance(law, law), kKsLimit);
    EXPECT_GT(distance(Normal(scalar(loc), scalar(1.03 * scale)), law), kKsLimit) << "planted";
    EXPECT_GT(distance(Normal(scalar(loc + 0.02 * scale), scalar(scale)), law), kKsLimit)
        << "planted";
  }
}

TEST(SamplersStatistical, UniformDrawsFollowTheCdf) {
  const Uniform law(scalar(-2), scalar(5));
  EXPECT_LE(distance(law, law), kKsLimit);
  EXPECT_GT(distance(Uniform(scalar(-2), scalar(5.1)), law), kKsLimit) << "planted";
}

/// Pearson's chi-square tail probability of counts [K] given probabilities [K].
double chi_square_tail(const at::Tensor& counts, const at::Tensor& probs) {
  const auto expected = probs * counts.sum();
  const auto statistic = ((counts - expected).square() / expected).sum();
  const auto half_dof = at::full({}, 0.5 * static_cast<double>(probs.numel() - 1), at::kDouble);
  return at::special_gammaincc(half_dof, 0.5 * statistic).item<double>();
}

constexpr double kChiSquareAlpha = 1e-9;

TEST(SamplersStatistical, CategoricalDrawsFollowTheProbabilities) {
  const auto probs = at::tensor({0.05, 0.3, 0.001, 0.449, 0.2}, at::kDouble);
  const auto x = Categorical(probs).sample(Noise(22).draws(kKsDraws), {kKsDraws});
  const auto counts = x.bincount({}, 5).to(at::kDouble);
  EXPECT_GE(chi_square_tail(counts, probs), kChiSquareAlpha);
  const auto planted = at::tensor({0.055, 0.295, 0.001, 0.449, 0.2}, at::kDouble);
  EXPECT_LT(chi_square_tail(counts, planted), kChiSquareAlpha) << "planted";
}

TEST(SamplersStatistical, BernoulliDrawsFollowTheProbability) {
  for (const double p : {0.01, 0.5, 0.93}) {
    const auto x = Bernoulli(scalar(p)).sample(Noise(23).draws(kKsDraws), {kKsDraws});
    const auto ones = x.sum().item<double>();
    const auto counts = at::tensor({kKsDraws - ones, ones}, at::kDouble);
    const auto probs = [](double q) { return at::tensor({1 - q, q}, at::kDouble); };
    EXPECT_GE(chi_square_tail(counts, probs(p)), kChiSquareAlpha) << p;
    EXPECT_LT(chi_square_tail(counts, probs(p + 0.007)), kChiSquareAlpha) << p << ", planted";
  }
}

/// Gradients of `log_prob` at its own draws, one a draw, for each parameter. E[score] = 0.
std::vector<at::Tensor> scores(const std::vector<double>& parameters,
                               const std::function<DistributionPtr(std::vector<at::Tensor>)>& make,
                               double factor_on_log_prob_of_first = 0) {
  std::vector<at::Tensor> leaves;
  for (const double p : parameters)
    leaves.push_back(at::full({kKsDraws}, p, at::kDouble).requires_grad_());
  const auto law = make(leaves);
  const auto x = law->sample(Noise(24).draws(kKsDraws));
  (law->log_prob(x) + factor_on_log_prob_of_first * leaves[0]).sum().backward();
  std::vector<at::Tensor> out;
  for (const auto& leaf : leaves) out.push_back(leaf.grad());
  return out;
}

TEST(ScoresStatistical, HaveMeanZero) {
  const auto normal = [](auto p) { return Normal(p[0], p[1]).clone(); };
  for (const auto& score : scores({0.7, 2.0}, normal)) EXPECT_LT(estimate(score).z(0), kZStar);
  const auto coin = [](auto p) { return Bernoulli(p[0]).clone(); };
  for (const auto& score : scores({0.2}, coin)) EXPECT_LT(estimate(score).z(0), kZStar);
  const auto three = [](auto p) { return Categorical(at::stack({p[0], p[1], p[2]}, -1)).clone(); };
  for (const auto& score : scores({0.2, 0.5, 0.9}, three)) EXPECT_LT(estimate(score).z(0), kZStar);
  // A normaliser wrong by a term c * loc shifts the score by c.
  EXPECT_GT(estimate(scores({0.7, 2.0}, normal, 0.02)[0]).z(0), kZStar) << "planted";
}

/// Moments of a reparameterised draw, and of its gradients: d E[z] / d loc = 1 and
/// d E[z^2] / d scale = 2 scale.
TEST(ReparameterisationStatistical, GradientsOfMomentsAreUnbiased) {
  const auto loc = at::full({kKsDraws}, 0.7, at::kDouble).requires_grad_();
  const auto scale = at::full({kKsDraws}, 1.5, at::kDouble).requires_grad_();
  const auto z = Normal(loc, scale).rsample(Noise(25).draws(kKsDraws));
  EXPECT_LT(estimate(z).z(0.7), kZStar);
  EXPECT_LT(estimate_variance(z).z(2.25), kZStar);
  z.square().sum().backward();
  EXPECT_LT(estimate(loc.grad()).z(2 * 0.7), kZStar);
  EXPECT_LT(estimate(scale.grad()).z(2 * 1.5), kZStar);
  EXPECT_GT(estimate(scale.grad() * 1.03).z(2 * 1.5), kZStar) << "planted";
}

}  // namespace
}  // namespace elbo
