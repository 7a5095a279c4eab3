// The gradients of the terms of FVB eq 3. Those of eq 4-7 vanish: identically along the path of
// reparameterised draws, and in the mean by the score function, n = 1e6 draws, z* = 6.11; those
// that remain have their values in closed form, which are told from ones 2 % off.
#include <torch/csrc/autograd/autograd.h>

#include "elbo/estimators/bound.h"
#include "estimators/toy.h"
#include "support/statistics.h"

namespace elbo {
namespace {

using namespace testing;

constexpr int64_t kDraws = 1'000'000;
constexpr double kX = 1.3;

/// W ~ N(0, 1) for all rows, z_n ~ N(0, 1), x_n ~ N(W z_n, 1).
void product_model(Trace& trace, const Batch& batch) {
  const auto w = trace.sample("w", Normal::standard({}, at::kDouble));
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto z = trace.sample("z", Normal::standard({}, at::kDouble));
  trace.observe("x", Normal(w * z, one()), batch["x"]);
}

/// q(W; xi) = N(a, b^2), q(z; psi) = N(m, s^2), or, planted, z that depends on W.
struct Guide {
  double a = 0.7, b = 0.4, m = 0.5, s = 0.8;
  double dependence = 0;
  at::Tensor xi = at::tensor({a, b}, at::kDouble).requires_grad_();
  at::Tensor psi = at::tensor({m, s}, at::kDouble).requires_grad_();

  Program program() const {
    return [*this](Trace& trace, const Batch& batch) {
      const auto w = trace.sample("w", Normal(xi[0], xi[1]));
      const auto plate = trace.plate("rows", batch.rows, batch.total);
      (void)trace.sample("z", Normal(dependence == 0 ? psi[0] : psi[0] + dependence * w, psi[1]));
    };
  }
};

/// log p(z), log q(z), log p(W), log q(W), log p(x | z, W) of each draw, [n].
struct Terms {
  at::Tensor w, z, p_z, q_z, p_w, q_w, p_x;
};
Terms terms_of(const Guide& guide, bool pathwise, int64_t draws) {
  const auto batch = batch_of(at::full({1}, kX, at::kDouble));
  const auto q = Trace::run(guide.program(), batch, Noise(31),
                            {.num_particles = draws, .requires_grad = pathwise});
  const auto p = Trace::run(replay(product_model, q), batch, Noise(31), {.num_particles = draws});
  const auto flat = [](const at::Tensor& t) { return t.flatten(); };
  return {flat(q.at("w").value),      flat(q.at("z").value),      flat(p.at("z").log_prob()),
          flat(q.at("z").log_prob()), flat(p.at("w").log_prob()), flat(q.at("w").log_prob()),
          flat(p.at("x").log_prob())};
}

/// Along the path; undefined where the term does not depend on the parameter.
at::Tensor path_gradient(const at::Tensor& term, const at::Tensor& parameter) {
  return torch::autograd::grad({term.mean()}, {parameter}, {}, /*retain_graph=*/true,
                               /*create_graph=*/false, /*allow_unused=*/true)[0];
}

TEST(FvbGradients, Of4To7VanishIdenticallyAlongThePath) {
  const Guide guide;
  const auto t = terms_of(guide, /*pathwise=*/true, 100);
  EXPECT_FALSE(path_gradient(t.p_z, guide.xi).defined()) << "FVB eq 4";
  EXPECT_FALSE(path_gradient(t.q_z, guide.xi).defined()) << "FVB eq 5";
  EXPECT_FALSE(path_gradient(t.p_w, guide.psi).defined()) << "FVB eq 6";
  EXPECT_FALSE(path_gradient(t.q_w, guide.psi).defined()) << "FVB eq 7";
  for (const auto& parameter : {guide.xi, guide.psi})
    EXPECT_TRUE(path_gradient(t.p_x, parameter).ne(0).all().item<bool>()) << "these remain";

  const Guide planted{.dependence = 0.5};
  const auto bad = terms_of(planted, true, 100);
  EXPECT_TRUE(path_gradient(bad.p_z, planted.xi).defined()) << "z that depends on W is seen";
}

/// Scores d log q / d (mean, deviation) of draws of N(mean, deviation^2).
std::pair<at::Tensor, at::Tensor> scores(const at::Tensor& draw, double mean, double deviation) {
  const auto epsilon = (draw - mean) / deviation;
  return {epsilon / deviation, (epsilon.square() - 1) / deviation};
}

TEST(FvbGradients, Of4To7HaveMeanZeroByTheScoreFunction) {
  const at::NoGradGuard no_grad;
  const Guide guide;
  const auto t = terms_of(guide, false, kDraws);
  const auto [of_a, of_b] = scores(t.w, guide.a, guide.b);
  const auto [of_m, of_s] = scores(t.z, guide.m, guide.s);
  for (const auto& [term, score, name] :
       std::vector<std::tuple<at::Tensor, at::Tensor, const char*>>{{t.p_z, of_a, "eq 4, a"},
                                                                    {t.p_z, of_b, "eq 4, b"},
                                                                    {t.q_z, of_a, "eq 5, a"},
                                                                    {t.q_z, of_b, "eq 5, b"},
                                                                    {t.p_w, of_m, "eq 6, m"},
                                                                    {t.p_w, of_s, "eq 6, s"},
                                                                    {t.q_w, of_m, "eq 7, m"},
                                                                    {t.q_w, of_s, "eq 7, s"}})
    EXPECT_LE(estimate(term * score).z(0), kZStar) << name;

  // Planted: z that depends on W by a little. The score of q(W) alone then sees log p(z) move.
  const Guide planted{.dependence = 0.05};
  const auto bad = terms_of(planted, false, kDraws);
  EXPECT_GT(estimate(bad.p_z * scores(bad.w, planted.a, planted.b).first).z(0), kZStar);
}

TEST(FvbGradients, OfTheLikelihoodRemainAlongPsiAndXi) {
  // E log p(x | z, W) = const - (x^2 - 2 x a m + (a^2 + b^2)(m^2 + s^2)) / 2.
  const at::NoGradGuard no_grad;
  const Guide g;
  const auto t = terms_of(g, false, kDraws);
  const double w2 = g.a * g.a + g.b * g.b, z2 = g.m * g.m + g.s * g.s;
  const auto [of_a, of_b] = scores(t.w, g.a, g.b);
  const auto [of_m, of_s] = scores(t.z, g.m, g.s);
  // A constant taken off the term does not move the mean, and lowers the variance.
  const auto term = t.p_x - t.p_x.mean();
  for (const auto& [score, truth, name] :
       std::vector<std::tuple<at::Tensor, double, const char*>>{{of_a, kX * g.m - g.a * z2, "a"},
                                                                {of_b, -g.b * z2, "b"},
                                                                {of_m, kX * g.a - g.m * w2, "m"},
                                                                {of_s, -g.s * w2, "s"}}) {
    const auto found = estimate(term * score);
    EXPECT_LE(found.z(truth), kZStar) << name;
    EXPECT_GT(found.z(0), kZStar) << name << ": it does not vanish";
  }
}

}  // namespace
}  // namespace elbo
