// Expected: 90 % intervals hold at least 850 of 1000 new rows: yes
// Bayesian linear regression learnt from minibatches: the posterior that is known in closed form,
// and intervals for new rows.
#include <cmath>
#include <cstdio>

#include "elbo/elbo.h"

namespace {
constexpr double kNoise = 0.5;

elbo::Batch rows_of(const elbo::Noise& noise, int64_t count) {
  const auto x = noise.site("x").draws(count).normal({count, 2}, at::kDouble);
  const auto y = x.mv(at::tensor({1.5, -0.8}, at::kDouble)) + 0.3 +
                 kNoise * noise.site("y").draws(count).normal({count}, at::kDouble);
  return {.columns = {{"x", x}, {"y", y}}, .rows = at::arange(count), .total = count};
}
}  // namespace

int main() {
  const elbo::BayesianRegression regression({.features = 2, .noise_scale = kNoise}, at::kDouble);
  elbo::FlatParameters parameters(regression.parameters());
  elbo::Aevb learner(regression.model(), regression.guide(), parameters,
                     elbo::make_optimizer("adam", parameters, 0.02));

  const auto data = rows_of(elbo::Noise(1), 100);
  for (int step = 0; step < 2000; ++step) {
    learner.optimizer().lr = 0.02 * (1 - step / 2000.0);
    const auto rows = at::arange(20) + step % 5 * 20;
    learner.step({.columns = {{"x", data["x"].index_select(0, rows)},
                              {"y", data["y"].index_select(0, rows)}},
                  .rows = rows,
                  .total = data.total},
                 elbo::Noise(/*seed=*/0, step));
  }

  const auto ones = at::ones({100, 1}, at::kDouble);
  const elbo::ConjugateRegression exact(at::cat({data["x"], ones}, 1), data["y"],
                                        /*prior_scale=*/1, kNoise);
  const auto& q = regression.posterior();
  const at::NoGradGuard no_grad;
  for (int i = 0; i < 3; ++i)
    std::printf("weight %d: learnt %7.4f +- %.4f, exact %7.4f +- %.4f\n", i,
                q.loc()[i].item<double>(), std::sqrt(q.variance()[i].item<double>()),
                exact.mean()[i].item<double>(), std::sqrt(exact.covariance()[i][i].item<double>()));

  const auto fresh = rows_of(elbo::Noise(2), 1000);
  const auto interval = regression.predict(fresh["x"], 0.9);
  const auto inside = fresh["y"].gt(interval.lower).logical_and(fresh["y"].lt(interval.upper));
  const auto count = inside.sum().item<int64_t>();
  std::printf("%d of 1000 new rows lie in their interval\n", static_cast<int>(count));
  std::printf("90 %% intervals hold at least 850 of 1000 new rows: %s\n",
              count > 850 ? "yes" : "no");
}
