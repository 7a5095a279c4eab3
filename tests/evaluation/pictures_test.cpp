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

}  // namespace
}  // namespace elbo
