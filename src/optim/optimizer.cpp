#include "elbo/optim/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "elbo/error.h"

namespace elbo {
namespace {

constexpr int64_t kGrain = 1 << 15;

/// Calls update(i, g) over a segment, where g is the prior-corrected gradient of element i.
template <class T, class Update>
void sweep(FlatParameters& parameters, const Segment& segment, const Optimizer& optimizer,
           const Update& update) {
  T* w = parameters.values().data_ptr<T>();
  const T* gradient = parameters.gradients().data_ptr<T>();
  const T scale = static_cast<T>(optimizer.gradient_scale);
  const T precision = static_cast<T>(optimizer.prior_precision);
  at::parallel_for(segment.begin, segment.end, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) w[i] += update(i, scale * gradient[i] - precision * w[i]);
  });
}

#define ELBO_DISPATCH(parameters, name, ...) \
  AT_DISPATCH_FLOATING_TYPES((parameters).values().scalar_type(), name, __VA_ARGS__)

at::Tensor zeros_like_values(const FlatParameters& parameters) {
  return at::zeros_like(parameters.values());
}

}  // namespace

void Sgd::step(FlatParameters& parameters, const Segment& segment) {
  ELBO_DISPATCH(parameters, "sgd", [&] {
    const auto rate = static_cast<scalar_t>(lr);
    sweep<scalar_t>(parameters, segment, *this, [=](int64_t, scalar_t g) { return rate * g; });
  });
}

Adagrad::Adagrad(const FlatParameters& parameters, double lr, double eps)
    : eps_(eps), sum_(zeros_like_values(parameters)) {
  this->lr = lr;
}

void Adagrad::step(FlatParameters& parameters, const Segment& segment) {
  ELBO_DISPATCH(parameters, "adagrad", [&] {
    auto* sum = sum_.data_ptr<scalar_t>();
    const auto rate = static_cast<scalar_t>(lr);
    const auto eps = static_cast<scalar_t>(eps_);
    sweep<scalar_t>(parameters, segment, *this, [=](int64_t i, scalar_t g) {
      sum[i] += g * g;
      return rate * g / (std::sqrt(sum[i]) + eps);
    });
  });
}

std::map<std::string, at::Tensor> Adagrad::state() const { return {{"sum", sum_}}; }

Adam::Adam(const FlatParameters& parameters, double lr, double beta1, double beta2, double eps)
    : beta1_(beta1),
      beta2_(beta2),
      eps_(eps),
      first_(zeros_like_values(parameters)),
      second_(zeros_like_values(parameters)),
      steps_(at::zeros({static_cast<int64_t>(parameters.segments().size())}, at::kLong)) {
  this->lr = lr;
}

void Adam::step(FlatParameters& parameters, const Segment& segment) {
  const auto& segments = parameters.segments();
  auto* counts = steps_.data_ptr<int64_t>();
  for (size_t s = 0; s < segments.size(); ++s) {
    // A step of the whole is a step of each of its parts.
    if (segments[s].begin < segment.begin || segments[s].end > segment.end) continue;
    const auto t = static_cast<double>(++counts[s]);
    const double correction1 = 1 - std::pow(beta1_, t);
    const double correction2 = std::sqrt(1 - std::pow(beta2_, t));
    ELBO_DISPATCH(parameters, "adam", [&] {
      auto* m = first_.data_ptr<scalar_t>();
      auto* v = second_.data_ptr<scalar_t>();
      const auto b1 = static_cast<scalar_t>(beta1_), b2 = static_cast<scalar_t>(beta2_);
      const auto rate = static_cast<scalar_t>(lr / correction1);
      const auto root = static_cast<scalar_t>(1 / correction2);
      const auto eps = static_cast<scalar_t>(eps_);
      sweep<scalar_t>(parameters, segments[s], *this, [=](int64_t i, scalar_t g) {
        m[i] = b1 * m[i] + (1 - b1) * g;
        v[i] = b2 * v[i] + (1 - b2) * g * g;
        return rate * m[i] / (std::sqrt(v[i]) * root + eps);
      });
    });
  }
}

std::map<std::string, at::Tensor> Adam::state() const {
  return {{"first", first_}, {"second", second_}, {"steps", steps_}};
}

std::unique_ptr<Optimizer> make_optimizer(const std::string& name, const FlatParameters& parameters,
                                          double lr) {
  if (name == "sgd") return std::make_unique<Sgd>(lr);
  if (name == "adagrad") return std::make_unique<Adagrad>(parameters, lr);
  if (name == "adam") return std::make_unique<Adam>(parameters, lr);
  throw ConfigError("optimizer = '" + name + "'; expected sgd, adagrad or adam");
}

}  // namespace elbo
