// KL(q || p) against the mean of log q - log p over draws of q. n = 1e6 each; false alarm 1e-9 a
// comparison (z* = 6.11).
#include "distributions/table.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

Estimate monte_carlo(const Distribution& q, const Distribution& p) {
  const auto x = q.sample(Noise(41).draws(kKsDraws), {kKsDraws});
  return estimate(q.log_prob(x) - p.log_prob(x));
}

void expect_kl(const Distribution& q, const Distribution& p) {
  const double closed = kl_divergence(q, p).item<double>();
  EXPECT_LT(monte_carlo(q, p).z(closed), kZStar) << q.name() << " " << p.name();
  if (const auto reverse = try_kl_divergence(p, q)) {
    EXPECT_GT(monte_carlo(q, p).z(reverse->item<double>()), kZStar)
        << q.name() << " " << p.name() << ": a planted exchange of q and p";
  }
  EXPECT_GT(monte_carlo(q, p).z(1.05 * closed), kZStar)
      << q.name() << " " << p.name() << ": a planted error of 5 %";
}

TEST(KlStatistical, EveryClosedFormAgreesWithDraws) {
  expect_kl(Normal(scalar(1.3), scalar(0.4)), Normal(scalar(-0.2), scalar(1.5)));
  expect_kl(Bernoulli(scalar(0.2)), Bernoulli(scalar(0.7)));
  expect_kl(Categorical(at::tensor({0.1, 0.2, 0.7}, at::kDouble)),
            Categorical(at::tensor({0.6, 0.2, 0.2}, at::kDouble)));
  expect_kl(Uniform(scalar(0), scalar(1)), Normal(scalar(2), scalar(0.9)));
  const Uniform inner(scalar(0), scalar(1)), outer(scalar(-1), scalar(3));
  // log q - log p is constant: no noise, no z.
  EXPECT_NEAR(kl_divergence(inner, outer).item<double>(), monte_carlo(inner, outer).mean, 1e-12);
}

TEST(KlStatistical, IndependentEventsAgreeWithDraws) {
  const Normal q(at::tensor({0.0, 1.0}, at::kDouble), at::tensor({0.5, 2.0}, at::kDouble));
  const Normal p(at::tensor({1.0, -1.0}, at::kDouble), at::tensor({1.0, 1.5}, at::kDouble));
  expect_kl(q.to_event(1), p.to_event(1));
}

}  // namespace
}  // namespace elbo
