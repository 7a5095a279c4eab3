#include "elbo/estimators/baseline.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace elbo {
namespace {

void check_decay(const char* baseline, double decay) {
  if (!(decay >= 0 && decay < 1))
    throw ConfigError(fmt::format("{}: decay = {}; expected 0 <= decay < 1", baseline, decay));
}

/// The weighted mean that `sums` holds, its weight last; 0 before the first step.
at::Tensor mean_of(const at::Tensor& sums) {
  const auto n = sums.size(0) - 1;
  return sums.narrow(0, 0, n) / sums.narrow(0, n, 1).clamp_min(1e-300);
}

/// A column as float64 [M, width].
at::Tensor features(const Batch& batch, const std::string& column, int64_t width) {
  const auto& x = batch[column];
  const auto rows = x.size(0);
  if (x.numel() != rows * width)
    throw ShapeError(fmt::format("LinearBaseline: column '{}' is [{}]; expected {} numbers a row",
                                 column, fmt::join(x.sizes(), ", "), width));
  return x.to(at::kCPU, at::kDouble).reshape({rows, width});
}

}  // namespace

MovingAverage::MovingAverage(double decay) : decay_(decay), sums_(at::zeros({2}, at::kDouble)) {
  check_decay("MovingAverage", decay);
}

at::Tensor MovingAverage::value(const Batch&, const at::Tensor& signal) const {
  return mean_of(sums_).to(signal.options());
}

void MovingAverage::learn(const Batch&, const at::Tensor& signal) {
  const auto mean = signal.to(at::kDouble).mean().cpu();
  sums_.mul_(decay_).add_(at::stack({mean, at::ones_like(mean)}));
}

std::map<std::string, at::Tensor> MovingAverage::state() const { return {{"sums", sums_}}; }

at::Tensor LeaveOneOut::value(const Batch&, const at::Tensor& signal) const {
  const int64_t draws = signal.size(0);
  if (draws < 2) throw ConfigError("LeaveOneOut: one draw a row; expected num_particles >= 2");
  return (signal.sum(0, /*keepdim=*/true) - signal) / static_cast<double>(draws - 1);
}

LinearBaseline::LinearBaseline(int64_t width, std::string column, double decay, double rate)
    : column_(std::move(column)), decay_(decay), rate_(rate) {
  check_decay("LinearBaseline", decay);
  if (width < 1) throw ConfigError(fmt::format("LinearBaseline: width = {}; expected >= 1", width));
  if (!(rate > 0 && rate < 2))
    throw ConfigError(fmt::format("LinearBaseline: rate = {}; expected 0 < rate < 2", rate));
  weights_ = at::zeros({width}, at::kDouble);
  sums_ = at::zeros({width + 2}, at::kDouble);
}

at::Tensor LinearBaseline::centred(const at::Tensor& x) const {
  return x - mean_of(sums_).narrow(0, 0, x.size(1));
}

at::Tensor LinearBaseline::predict(const at::Tensor& centred) const {
  return mean_of(sums_)[centred.size(1)] + centred.mv(weights_);
}

at::Tensor LinearBaseline::value(const Batch& batch, const at::Tensor& signal) const {
  return predict(centred(features(batch, column_, weights_.size(0)))).to(signal.options());
}

void LinearBaseline::learn(const Batch& batch, const at::Tensor& signal) {
  const auto y = signal.to(weights_.options()).mean(0);
  const auto x = features(batch, column_, weights_.size(0));
  const auto ones = at::ones({1}, weights_.options());
  sums_.mul_(decay_).add_(at::cat({x.mean(0), y.mean().view(1), ones}));
  const auto moved = centred(x);
  const auto residual = y - predict(moved);
  const auto power = moved.square().sum(1).mean().clamp_min(1e-300);
  weights_.add_(moved.t().mv(residual) * (rate_ / static_cast<double>(y.size(0))) / power);
}

std::map<std::string, at::Tensor> LinearBaseline::state() const {
  return {{"sums", sums_}, {"weights", weights_}};
}

}  // namespace elbo
