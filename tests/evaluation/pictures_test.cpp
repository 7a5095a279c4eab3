#include "elbo/evaluation/pictures.h"

#include "elbo/models/vae.h"

namespace elbo {
namespace {

Vae started(int64_t latent) {
  Vae vae({.data_dim = 6, .latent_dim = latent, .hidden = {8}}, at::kDouble);
  initialise_model(vae, nn::Init::kXavier, 1);
  return vae;
}
const auto kDouble = at::TensorOptions().dtype(at::kDouble);

TEST(Pictures, SamplesArePixelMeansAtPriorDrawsAndFirstDrawsDoNotMove) {
  const auto vae = started(3);
  const auto few = sample_means(vae, 4, Noise(1), kDouble);
  const auto many = sample_means(vae, 9, Noise(1), kDouble);
  ASSERT_EQ(many.sizes(), at::IntArrayRef({9, 6}));
  EXPECT_TRUE(at::allclose(many.narrow(0, 0, 4), few, 1e-14, 1e-14));
  const auto draws = sample_data(vae, 9, Noise(1), kDouble);
  EXPECT_TRUE(draws.eq(0).logical_or(draws.eq(1)).all().item<bool>());
}

TEST(Pictures, ManifoldFollowsTheInverseNormalCdf) {
  const auto vae = started(2);
  const auto grid = manifold(vae, 5, kDouble);
  ASSERT_EQ(grid.sizes(), at::IntArrayRef({25, 6}));
  // The middle is z = 0; the first is the top left corner, z = (icdf(0.1), icdf(0.9)).
  const double corner = 1.2815515655446004;
  const auto z = at::tensor({0.0, 0.0, -corner, corner}, kDouble).view({2, 2});
  const auto expected = vae.decode(z).mean();
  EXPECT_TRUE(at::allclose(grid[12], expected[0], 1e-12, 1e-12));
  EXPECT_TRUE(at::allclose(grid[0], expected[1], 1e-12, 1e-12));
}

TEST(Pictures, ManifoldNeedsTwoDimensions) {
  EXPECT_THROW((void)manifold(started(3), 5, kDouble), ConfigError);
}

TEST(Pictures, ReconstructionIsDecodedFromTheGuidesMean) {
  const auto vae = started(2);
  const auto x = Noise(2).uniform({4, 6}, kDouble);
  EXPECT_TRUE(at::allclose(reconstruct(vae, x), vae.decode(vae.encode(x).mean()).mean()));
}

SemiSupervised with_classes() {
  SemiSupervised model({.data_dim = 6, .classes = 3, .latent_dim = 2, .hidden = {8}}, kDouble);
  initialise_model(model, nn::Init::kXavier, 1);
  return model;
}

TEST(Pictures, ClassesHaveTheSameStyles) {
  const auto model = with_classes();
  const auto x = class_samples(model, 4, Noise(1));
  ASSERT_EQ(x.sizes(), at::IntArrayRef({4, 3, 6}));
  EXPECT_TRUE(at::allclose(class_samples(model, 2, Noise(1)), x.narrow(0, 0, 2), 1e-14, 1e-14));
  const auto z2 = Noise(1).site("z2").draws(4).normal({4, 2}, kDouble);
  for (int64_t y = 0; y < 3; ++y) {
    const auto expected = model.generate(at::full({4}, y, at::kLong), z2).mean();
    EXPECT_TRUE(at::allclose(x.select(1, y), expected, 1e-12, 1e-12));
  }
}

TEST(Pictures, RowsInEveryClassKeepTheirStyle) {
  const auto model = with_classes();
  const auto x = Noise(2).uniform({5, 6}, kDouble);
  const auto found = in_every_class(model, x);
  ASSERT_EQ(found.sizes(), at::IntArrayRef({5, 3, 6}));
  const auto y = model.classify(x).mode();
  const auto own = found.gather(1, y.view({5, 1, 1}).expand({5, 1, 6})).squeeze(1);
  EXPECT_TRUE(at::allclose(own, reconstruct(model, x), 1e-12, 1e-12));
}

}  // namespace
}  // namespace elbo
