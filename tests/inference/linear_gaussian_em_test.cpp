#include "elbo/inference/linear_gaussian_em.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/models/ppca.h"
#include "models/ppca.h"

namespace elbo {
namespace {

using testing::kColumns;
using testing::kLatent;
using testing::largest_angle;
using testing::linear_rows;
using testing::ppca_optimum;
using testing::principal_axes;

const auto kDouble = at::TensorOptions(at::kDouble);

LinearGaussianParameters parameters_of(bool isotropic, int64_t columns = kColumns,
                                       int64_t latent = kLatent) {
  return {at::zeros({columns, latent}, kDouble), at::zeros({columns}, kDouble),
          at::zeros({isotropic ? 1 : columns}, kDouble)};
}

at::Tensor with_gaps(at::Tensor x, double share) {
  x = x.clone();
  return x.masked_fill_(Noise(9).uniform(x.sizes(), kDouble).lt(share), NAN);
}

TEST(LinearGaussianEm, OfPpcaReachesTheClosedForm) {
  const auto x = linear_rows(1000);
  const auto parameters = parameters_of(true);
  LinearGaussianEm em(parameters, {.chunk_rows = 300});
  em.start(stream_of(x), Noise(1));
  const double first = em.log_likelihood(stream_of(x));
  const double found = em.fit(stream_of(x), 5000, 1e-13);
  EXPECT_GT(ppca_optimum(x) - first, 1) << "the start is far from the end";
  EXPECT_NEAR(found, ppca_optimum(x), 1e-8);
  const double angle = largest_angle(parameters.weight, principal_axes(x));
  EXPECT_LE(angle, 1e-3);
  std::printf("gap %.1e nats, angle %.1e rad\n", ppca_optimum(x) - found, angle);
  EXPECT_TRUE(at::allclose(parameters.loc, x.mean(0), 1e-9, 1e-9));
}

TEST(LinearGaussianEm, NeverLosesLikelihood) {
  for (const bool isotropic : {true, false})
    for (const double share : {0.0, 0.3}) {
      const auto x = with_gaps(linear_rows(200), share);
      LinearGaussianEm em(parameters_of(isotropic));
      em.start(stream_of(x), Noise(2));
      double before = em.iterate(stream_of(x));
      for (int i = 0; i < 100; ++i) {
        const double now = em.iterate(stream_of(x));
        EXPECT_GE(now, before - 1e-10 * std::abs(before)) << isotropic << " " << share;
        before = now;
      }
    }
}

// At the end the likelihood of the observed entries is level in every parameter.
TEST(LinearGaussianEm, EndsWhereTheObservedLikelihoodIsLevel) {
  const auto x = with_gaps(linear_rows(300), 0.25);
  const auto mask = x.isnan().logical_not();
  for (const bool isotropic : {true, false}) {
    const auto p = parameters_of(isotropic);
    LinearGaussianEm em(p);
    em.start(stream_of(x), Noise(2));
    em.fit(stream_of(x), 5000, 1e-14);
    const auto slope = [&](double change) {
      std::vector<at::Tensor> leaves;
      for (const auto& t : {p.weight, p.loc, p.log_variance})
        leaves.push_back((t + change).detach().set_requires_grad(true));
      linear_gaussian_posterior({leaves[0], leaves[1], leaves[2].exp()}, x, mask)
          .log_likelihood.mean()
          .backward();
      double largest = 0;
      for (const auto& leaf : leaves)
        largest = std::max(largest, leaf.grad().abs().max().item<double>());
      return largest;
    };
    EXPECT_LE(slope(0), 1e-5) << isotropic;
    EXPECT_GT(slope(0.01), 1e-3) << "the check itself";
  }
}

TEST(LinearGaussianEm, MissingAtRandomLeavesTheModel) {
  const auto x = linear_rows(4000);
  const auto whole = parameters_of(true), part = parameters_of(true);
  LinearGaussianEm first(whole), second(part);
  first.start(stream_of(x), Noise(1));
  first.fit(stream_of(x), 1000, 1e-9);
  const auto gaps = with_gaps(x, 0.2);
  second.start(stream_of(gaps), Noise(1));
  second.fit(stream_of(gaps), 1000, 1e-9);
  EXPECT_LE(largest_angle(whole.weight, part.weight), 0.03);
  EXPECT_NEAR(whole.log_variance.item<double>(), part.log_variance.item<double>(), 0.03);
  // Missing entries as a mask are the same as NaN.
  const RowStream masked{4000, [&](int64_t begin, int64_t count) {
                           const auto rows = gaps.narrow(0, begin, count);
                           auto batch = stream_of(rows.nan_to_num(7)).range(0, count);
                           batch.mask = rows.isnan().logical_not();
                           return batch;
                         }};
  EXPECT_NEAR(second.log_likelihood(masked), second.log_likelihood(stream_of(gaps)), 1e-13);
}

TEST(LinearGaussianEm, OfFixedSmallNoiseIsPca) {
  const auto x = linear_rows(400);
  const auto parameters = parameters_of(true);
  parameters.log_variance.fill_(std::log(1e-4));
  LinearGaussianEm em(parameters, {.fixed_variance = true});
  em.start(stream_of(x), Noise(1));
  for (int i = 0; i < 3000; ++i) em.iterate(stream_of(x));
  EXPECT_NEAR(parameters.log_variance.item<double>(), std::log(1e-4), 1e-15);
  EXPECT_LE(largest_angle(parameters.weight, principal_axes(x)), 1e-3);
}

TEST(LinearGaussianEm, DoesNotDependOnChunks) {
  const auto x = with_gaps(linear_rows(150), 0.2);
  const auto run = [&](int64_t chunk_rows) {
    const auto p = parameters_of(false);
    LinearGaussianEm em(p, {.chunk_rows = chunk_rows});
    em.start(stream_of(x), Noise(4));
    for (int i = 0; i < 10; ++i) em.iterate(stream_of(x));
    return at::cat({p.weight.flatten(), p.loc, p.log_variance});
  };
  EXPECT_TRUE(at::allclose(run(17), run(1000), 1e-8, 1e-9));
}

TEST(LinearGaussianEm, SaysWhatIsWrong) {
  auto x = linear_rows(20);
  LinearGaussianEm em(parameters_of(true));
  EXPECT_THROW((void)LinearGaussianEm(parameters_of(true), {.chunk_rows = 0}), ConfigError);
  EXPECT_THROW((void)LinearGaussianEm(parameters_of(true), {.variance_floor = 0}), ConfigError);
  EXPECT_THROW((void)em.log_likelihood({0, {}}), DataError);
  x.select(1, 4).fill_(NAN);
  try {
    em.start(stream_of(x), Noise(0));
    FAIL();
  } catch (const DataError& e) {
    EXPECT_NE(std::string(e.what()).find("column 5"), std::string::npos);
  }
}

}  // namespace
}  // namespace elbo
