#include "elbo/program/dream.h"

#include <gtest/gtest.h>

#include "elbo/program/handlers.h"
#include "estimators/toy.h"

namespace elbo {
namespace {

using namespace testing;

Batch three_rows() {
  Batch batch = batch_of(at::full({3}, 100.0, at::kDouble), /*total=*/50);
  batch.rows = at::tensor({7, 40, 12}, at::kLong);
  batch.columns["label"] = at::tensor({1.0, 2.0, 3.0}, at::kDouble);
  return batch;
}

TEST(Dream, DrawsXFromTheModelAndKeepsTheRest) {
  const Dream dreamt = dream(toy_model, three_rows(), Noise(3));
  const auto z = dreamt.trace.at("z").value, x = dreamt.trace.at("x").value;
  EXPECT_EQ(z.sizes(), at::IntArrayRef({1, 3}));
  EXPECT_TRUE(dreamt.batch["x"].equal(x[0]));
  EXPECT_LT(x.abs().max().item<double>(), 20) << "not the data's 100";
  EXPECT_TRUE(dreamt.batch["label"].equal(three_rows()["label"]));
  EXPECT_EQ(dreamt.batch.total, 50);
}

TEST(Dream, HasTheNoiseOfDrawsAndNotOfTheDatasRows) {
  const auto x = [](const Batch& batch) { return dream(toy_model, batch, Noise(3)).batch["x"]; };
  EXPECT_TRUE(x(three_rows()).equal(x(batch_of(at::zeros({3}, at::kDouble)))));
  EXPECT_TRUE(x(three_rows()).equal(x(batch_of(at::zeros({5}, at::kDouble))).narrow(0, 0, 3)));
}

TEST(Dream, HasNoGradient) {
  const auto slope = at::ones({1}, at::kDouble).requires_grad_();
  const auto model = [&](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    const auto z = trace.sample("z", Normal(slope, one()));
    trace.observe("x", Normal(z * slope, one()), batch["x"]);
  };
  const Dream dreamt = dream(model, three_rows(), Noise(3));
  EXPECT_FALSE(dreamt.batch["x"].requires_grad());
  EXPECT_FALSE(dreamt.trace.at("z").value.requires_grad());
}

TEST(Dream, NeedsAColumnOfTheSitesName) {
  const auto model = [](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    trace.observe("y", Normal::standard({}, at::kDouble), batch["x"]);
  };
  EXPECT_THROW((void)dream(model, three_rows(), Noise(3)), SiteError);
}

}  // namespace
}  // namespace elbo
