#include "elbo/estimators/importance_weighted.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "elbo/estimators/sgvb.h"
#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

at::Tensor vector(std::vector<double> x) { return at::tensor(x, at::kDouble); }

TEST(ImportanceWeighted, OfOneDrawIsSgvbA) {
  const auto batch = batch_of(vector({1.3, -0.4, 2.0}));
  const auto guide = toy_guide(0.2 * one(), 0.9 * one());
  const auto weighted = ImportanceWeighted{1}(toy_model, guide, batch, Noise(3));
  const auto plain = Sgvb{.form = SgvbForm::kA}(toy_model, guide, batch, Noise(3));
  EXPECT_TRUE(weighted.rows().allclose(plain.rows(), 0, 1e-15));
}

TEST(ImportanceWeighted, IsTheEvidenceOfEveryDrawWhereTheGuideIsThePosterior) {
  for (const double x : {-1.0, 0.3, 2.5})
    for (const int64_t k : {1, 7, 50}) {
      const auto guide = toy_guide(0.5 * x * one(), std::sqrt(0.5) * one());
      const auto bound = ImportanceWeighted{k}(toy_model, guide, batch_of(vector({x})), Noise(4));
      EXPECT_EQ(bound.rows().sizes(), at::IntArrayRef({1, 1}));
      EXPECT_EQ(bound.kl.sizes(), at::IntArrayRef({k, 1}));
      EXPECT_NEAR(bound.rows().item<double>(), toy_evidence(x), 1e-12);
    }
}

TEST(ImportanceWeighted, LeavingADrawOutLowersItInTheMean) {
  // Jensen's inequality holds for any weights, draw by draw.
  const auto guide = toy_guide(-0.7 * one(), 0.4 * one());
  const auto bound =
      ImportanceWeighted{6}(toy_model, guide, batch_of(vector({1.3, 0.1})), Noise(5));
  const auto log_weights = bound.reconstruction - bound.kl;
  at::Tensor mean = at::zeros({2}, at::kDouble);
  for (int64_t i = 0; i < 6; ++i) {
    const auto others = at::cat({log_weights.narrow(0, 0, i), log_weights.narrow(0, i + 1, 5 - i)});
    mean += (others.logsumexp(0) - std::log(5.0)) / 6;
  }
  EXPECT_TRUE((mean <= bound.rows()[0] + 1e-12).all().item<bool>());
  EXPECT_FALSE(mean.allclose(bound.rows()[0], 1e-6, 1e-6));
}

TEST(ImportanceWeighted, RejectsGlobalSitesAndNoDraws) {
  const Program model = [](Trace& trace, const Batch& batch) {
    const auto w = trace.sample("w", Normal::standard({}, at::kDouble));
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    trace.observe("x", Normal(w, one()), batch["x"]);
  };
  const Program guide = [](Trace& trace, const Batch&) {
    (void)trace.sample("w", Normal::standard({}, at::kDouble));
  };
  const auto batch = batch_of(vector({1.0}));
  EXPECT_THROW((void)ImportanceWeighted{}(model, guide, batch, Noise(1)), SiteError);
  EXPECT_THROW((void)ImportanceWeighted{0}(toy_model, toy_guide(one(), one()), batch, Noise(1)),
               ConfigError);
}

}  // namespace
}  // namespace elbo
