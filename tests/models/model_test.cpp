#include "elbo/models/model.h"

#include <nlohmann/json.hpp>

#include "elbo/models/vae.h"

namespace elbo {
namespace {

TEST(MakeModel, BuildsTheSameModelFromItsConfiguration) {
  const VaeConfig config{.data_dim = 6,
                         .latent_dim = 3,
                         .hidden = {5, 4},
                         .likelihood = Likelihood::kGaussianSigmoid,
                         .encoder = Encoder::kGaussianTanh};
  const Vae first(config, at::kDouble);
  const auto second = make_model(first.config(), at::kDouble);
  EXPECT_EQ(second->config(), first.config());
  initialise_model(first, nn::Init::kXavier, 4);
  initialise_model(*second, nn::Init::kXavier, 4);
  const auto a = named_parameters(first), b = named_parameters(*second);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_TRUE(a[i].second.equal(b[i].second));
  }
}

TEST(MakeModel, SaysWhatIsWrong) {
  EXPECT_THROW((void)make_model({{"model", "gan"}}, at::kDouble), ConfigError);
  EXPECT_THROW((void)make_model({{"model", "vae"}}, at::kDouble), ConfigError);
  auto config = Vae({.data_dim = 6}, at::kDouble).config();
  config["likelihood"] = "poisson";
  try {
    (void)make_model(config, at::kDouble);
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_NE(std::string(e.what()).find("likelihood = 'poisson'; expected one of bernoulli"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace elbo
