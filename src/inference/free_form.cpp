#include "elbo/inference/free_form.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "elbo/kernels/log_sum_exp.h"
#include "elbo/program/enumeration.h"

namespace elbo {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

at::Tensor table_of(const Program& model, const Batch& batch) {
  return log_joint(Trace::run(model, batch, Noise(0), {.requires_grad = false}));
}

}  // namespace

FreeForm::FreeForm(at::Tensor log_joint, const at::Tensor& volume)
    : log_joint_(std::move(log_joint)) {
  if (log_joint_.dim() != 2)
    throw ShapeError(fmt::format("FreeForm: log_joint of shape [{}]; expected [cells, rows]",
                                 fmt::join(log_joint_.sizes(), ", ")));
  const int64_t cells = log_joint_.size(0);
  if (volume.defined() && volume.sizes() != at::IntArrayRef({cells}))
    throw ShapeError(fmt::format("FreeForm: volume of shape [{}]; expected [{}], one a cell",
                                 fmt::join(volume.sizes(), ", "), cells));
  if (volume.defined() && !volume.gt(0).all().item<bool>())
    throw DomainError("FreeForm: a volume; expected numbers > 0");
  log_volume_ = volume.defined() ? volume.to(log_joint_.dtype()).log().unsqueeze(1)
                                 : at::zeros({cells, 1}, log_joint_.options());
  possible_ = log_joint_ > kNothing;
  const auto proper = possible_.any(0).logical_and(log_joint_.isnan().any(0).logical_not());
  if (!proper.all().item<bool>())
    throw NumericError(
        fmt::format("FreeForm: log p(x, z) of row {} is NaN or -inf in every cell; expected a "
                    "number in one or more",
                    proper.logical_not().nonzero()[0].item<int64_t>()));
}

FreeForm::FreeForm(const Program& model, const Batch& batch, const at::Tensor& volume)
    : FreeForm(table_of(model, batch), volume) {}

at::Tensor FreeForm::uniform() const {
  const auto level = at::zeros_like(log_joint_).masked_fill(possible_.logical_not(), kNothing);
  return level - log_sum_exp(level + log_volume_, 0);
}

at::Tensor FreeForm::bound(const at::Tensor& log_q) const {
  return (probabilities(log_q) * (derivative(log_q) + 1)).sum(0);
}

at::Tensor FreeForm::derivative(const at::Tensor& log_q) const {
  return (log_joint_ - log_q - 1).masked_fill(possible_.logical_not(), 0);
}

FreeForm::Step FreeForm::ascend(const at::Tensor& log_q, double rate) const {
  if (!(rate > 0 && rate <= 1))
    throw DomainError(fmt::format("FreeForm: rate = {}; expected a number in (0, 1]", rate));
  const auto moved =
      (log_q + rate * derivative(log_q)).masked_fill(possible_.logical_not(), kNothing);
  const auto excess = log_sum_exp(moved + log_volume_, 0);
  return {moved - excess, (excess / rate).squeeze(0)};
}

FreeForm::Step FreeForm::maximise(at::Tensor log_q, double rate, double tolerance) const {
  if (!(tolerance > 0))
    throw DomainError(fmt::format("FreeForm: tolerance = {}; expected > 0", tolerance));
  const auto impossible = possible_.logical_not();
  for (double before = -kNothing;;) {
    auto step = ascend(log_q, rate);
    log_q = step.log_q;
    const auto slope = derivative(log_q);
    const auto spread = slope.masked_fill(impossible, kNothing).amax(0) -
                        slope.masked_fill(impossible, -kNothing).amin(0);
    // 1 - rate of what it was, until rounding is all there is.
    const double left = spread.max().item<double>();
    if (left <= tolerance || left >= before) return step;
    before = left;
  }
}

at::Tensor FreeForm::probabilities(const at::Tensor& log_q) const {
  return (log_q + log_volume_).exp();
}

}  // namespace elbo
