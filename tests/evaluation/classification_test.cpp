#include "elbo/evaluation/classification.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace elbo {
namespace {

TEST(ErrorRate, CountsRowsWhoseLikeliestClassIsWrong) {
  const auto probabilities =
      at::tensor({0.7, 0.2, 0.1, 0.1, 0.5, 0.4, 0.2, 0.2, 0.6, 0.4, 0.35, 0.25}, at::kDouble)
          .view({4, 3});
  const auto e = error_rate(probabilities, at::tensor({0, 1, 1, 0}, at::kLong));
  EXPECT_EQ(e.errors, 1);
  EXPECT_EQ(e.rows, 4);
  EXPECT_DOUBLE_EQ(e.rate, 0.25);
  EXPECT_DOUBLE_EQ(e.standard_error, std::sqrt(0.25 * 0.75 / 4));
  EXPECT_THROW((void)error_rate(probabilities, at::tensor({0, 1}, at::kLong)), ShapeError);
}

TEST(ClassProbabilities, AreTheModelsForEveryRow) {
  const SemiSupervised model({.data_dim = 6, .classes = 3, .latent_dim = 2, .hidden = {4}},
                             at::kDouble);
  initialise_model(model, nn::Init::kXavier, 1);
  data::Part part{.x = Noise(2).uniform({2500, 6}, at::kDouble)};  // more than one chunk
  const data::BatchSource source(part, 1, data::Binarize::kNone, at::kDouble);
  const auto found = class_probabilities(model, source);
  EXPECT_TRUE(at::allclose(found, model.classify(part.x).probs(), 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(found.sum(1), at::ones({2500}, at::kDouble), 1e-12, 1e-12));
}

}  // namespace
}  // namespace elbo
