#include "elbo/inference/aevb.h"

#include <optional>
#include <vector>

#include "elbo/kernels/linear.h"
#include "inference/detail/ascent.h"

namespace elbo {
Aevb::Aevb(Program model, Program guide, FlatParameters parameters,
           std::unique_ptr<Optimizer> optimizer, AevbOptions options)
    : model_(std::move(model)),
      guide_(std::move(guide)),
      parameters_(std::move(parameters)),
      optimizer_(std::move(optimizer)),
      options_(std::move(options)) {
  if (options_.bfloat16_products) (void)Bfloat16Products();  // now rather than at the first step
  detail::check_weight_prior(options_.weight_prior);
}

StepResult Aevb::gradient(const Batch& batch, const Noise& noise) {
  std::optional<Bfloat16Products> rounding;
  if (options_.bfloat16_products) rounding.emplace();
  const Bound bound = options_.estimator(model_, guide_, batch, noise);
  StepResult result;
  result.reconstruction = detail::finite_mean(bound.reconstruction, "reconstruction log p(x|z)");
  result.kl = detail::finite_mean(bound.kl, "KL(q(z|x)||p(z))");
  result.elbo = detail::finite_mean(bound.rows, "bound");
  std::vector<at::Tensor> roots = {bound.rows}, seeds = {detail::mean_seed(bound.rows)};
  if (bound.global.defined()) {
    const auto total = static_cast<double>(bound.total);
    result.elbo += detail::finite_mean(bound.global, "bound of the global sites") / total;
    roots.push_back(bound.global);
    seeds.push_back(detail::mean_seed(bound.global, total));
  }
  parameters_.backward(roots, seeds);
  return result;
}

double Aevb::ascend(const Segment& segment, int64_t total) {
  return detail::ascend(*optimizer_, parameters_, segment,
                        {.total = total,
                         .weight_prior = options_.weight_prior,
                         .full_data = options_.full_data_objective});
}

StepResult Aevb::step(const Batch& batch, const Noise& noise) {
  StepResult result = gradient(batch, noise);
  if (options_.update == Update::kJoint) {
    result.log_prior = ascend(parameters_.all(), batch.total);
    return result;
  }
  result.log_prior = ascend(parameters_.segment("phi"), batch.total);
  gradient(batch, noise.site("theta"));
  result.log_prior += ascend(parameters_.segment("theta"), batch.total);
  return result;
}

std::map<std::string, at::Tensor> Aevb::state() const {
  return detail::state_of(parameters_, *optimizer_);
}

}  // namespace elbo
