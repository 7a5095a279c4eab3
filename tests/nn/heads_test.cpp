#include "elbo/nn/heads.h"

#include <cmath>

#include "elbo/error.h"

namespace elbo::nn {
namespace {

const auto kDouble = at::TensorOptions().dtype(at::kDouble);

template <class Head>
std::map<std::string, at::Tensor> started(Head& head) {
  NamedParameters named;
  std::map<std::string, at::Tensor> out;
  for (const auto& item : head.named_parameters()) {
    named.emplace_back(item.key(), item.value());
    out[item.key()] = item.value();
  }
  initialise(named, Init::kXavier, Noise(1));
  return out;
}

TEST(GaussianHead, MeansAndVariancesAreThoseOfThePapers) {
  const auto h = Noise(3).normal({7, 5}, kDouble);
  GaussianHead plain(5, 2, {}, kDouble);
  auto w = started(plain);
  const auto mu = h.matmul(w["mu.weight"].t()) + w["mu.bias"];
  const auto log_var = h.matmul(w["log_var.weight"].t()) + w["log_var.bias"];
  const auto q = plain.forward(h);
  EXPECT_EQ(q.event_shape(), std::vector<int64_t>{2});
  EXPECT_TRUE(at::allclose(q.mean(), mu, 1e-14, 1e-14));
  EXPECT_TRUE(at::allclose(q.variance(), log_var.exp(), 1e-14, 1e-14));  // UT: variance by exp

  GaussianHead tanh_mean(5, 2, {.mean = Activation::kTanh}, kDouble);  // UT
  started(tanh_mean);
  EXPECT_TRUE(at::allclose(tanh_mean.forward(h).mean(), mu.tanh(), 1e-14, 1e-14));

  GaussianHead sigmoid_mean(5, 2, {.mean = Activation::kSigmoid, .sigma_min = 0.1}, kDouble);
  started(sigmoid_mean);
  const auto p = sigmoid_mean.forward(h);
  EXPECT_TRUE(at::allclose(p.mean(), mu.sigmoid(), 1e-14, 1e-14));
  EXPECT_GE(p.variance().min().item<double>(), 0.01);

  GaussianHead unit(5, 2, {.unit_variance = true}, kDouble);  // TT
  EXPECT_EQ(started(unit).size(), 2u);
  EXPECT_TRUE(unit.forward(h).variance().equal(at::ones({7, 2}, kDouble)));
}

TEST(BernoulliHead, GivesLogits) {
  BernoulliHead head(5, 3, kDouble);
  auto w = started(head);
  const auto h = Noise(3).normal({7, 5}, kDouble);
  const auto logits = h.matmul(w["logits.weight"].t()) + w["logits.bias"];
  EXPECT_TRUE(at::allclose(head.forward(h).mean(), logits.sigmoid(), 1e-14, 1e-14));
}

TEST(GaussianHead, RefusesANegativeFloor) {
  EXPECT_THROW(GaussianHead(5, 2, {.sigma_min = -1}, kDouble), ConfigError);
}

}  // namespace
}  // namespace elbo::nn
