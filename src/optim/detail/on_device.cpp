#include "optim/detail/on_device.h"

#include <ATen/core/grad_mode.h>

#include "kernels/detail/host.h"

namespace elbo::detail {

Optimizer::Seen UpdatesOnDevice::step(FlatParameters& parameters, const Segment& segment,
                                      const UpdateNumbers<double>& numbers,
                                      const RuleOnDevice& rule) {
  const auto& values = parameters.values();
  const at::Device device = values.device();
  Update& update = of_segment_[segment.begin];
  if (!update.numbers.defined()) update.numbers = empty_on_host({4}, values.options());
  // No launch reads the old ones any more: each ended with its sums.
  update.numbers.copy_(
      at::tensor({numbers.scale, numbers.precision, numbers.rate, numbers.root}, at::kDouble));
  const auto body = [&] {
    const at::NoGradGuard no_grad;
    const auto w = values.narrow(0, segment.begin, segment.size());
    const auto gradient = parameters.gradients().narrow(0, segment.begin, segment.size());
    const auto given = on_device(update.numbers, device);
    const UpdateNumbers<at::Tensor> now = {given[0], given[1], given[2], given[3]};
    update.seen = at::stack({w.square().sum(), gradient.square().sum()});
    const auto ascent = at::nan_to_num(gradient, 0, 0, 0);
    w.add_(rule(ascent * now.scale - w * now.precision, now));
  };
  constexpr int64_t kWarmUp = 1;  // steps before the one that is captured
  if (Plan::can_record(device) && !update.plan && update.steps == kWarmUp)
    update.plan = Plan::record(Noise(0), body, device);
  if (update.plan && update.plan->refusal().empty())
    update.plan->replay(0);
  else
    body();
  ++update.steps;
  const auto seen = update.seen.to(at::kCPU, at::kDouble);
  return {.parameter_squares = seen[0].item<double>(), .gradient_squares = seen[1].item<double>()};
}

}  // namespace elbo::detail
