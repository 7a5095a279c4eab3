#include "elbo/estimators/bound.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace elbo {
namespace {

at::Tensor rows() { return at::tensor({1.0, 2.0, 3.0, 6.0}, at::kDouble).view({2, 2}); }

TEST(Bound, AveragesRowsAndParticles) {
  Bound bound;
  bound.combined = rows();
  bound.total = 10;
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), 3);
  EXPECT_DOUBLE_EQ(bound.full_data().item<double>(), 30);
}

TEST(Bound, IsReconstructionLessKlUnlessCombined) {
  Bound bound{.reconstruction = rows(), .kl = 0.5 * rows(), .total = 10};
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), 1.5);
  bound.combined = rows();
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), 3);
}

TEST(Bound, CountsGlobalTermsOnce) {
  Bound bound;
  bound.combined = rows();
  bound.global = at::tensor({5.0, 15.0}, at::kDouble).view({2, 1});
  bound.total = 10;
  EXPECT_DOUBLE_EQ(bound.per_datum().item<double>(), 3 + 1);
  EXPECT_DOUBLE_EQ(bound.full_data().item<double>(), 30 + 10);
}

TEST(Bound, CarriesTheGradient) {
  Bound bound;
  bound.combined = rows().requires_grad_();
  bound.total = 10;
  bound.full_data().backward();
  EXPECT_TRUE(bound.combined.grad().eq(2.5).all().item<bool>());
}

}  // namespace
}  // namespace elbo
