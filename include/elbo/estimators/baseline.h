// Baselines of the score-function estimator: what is known of a signal without its own draw.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "elbo/batch.h"

namespace elbo {

/// Subtracted from a signal before it multiplies a score. E[score] = 0, so that a baseline leaves
/// the gradient's mean where it is, as long as what it subtracts for a draw does not depend on that
/// draw; near E[signal] it lowers the variance, as a rule.
class Baseline {
 public:
  virtual ~Baseline() = default;

  /// For signals [L, M], in nats: anything that broadcasts to [L, M]. Entry (l, i) may read x, and
  /// other draws of row i, but not draw (l, i).
  [[nodiscard]] virtual at::Tensor value(const Batch& batch, const at::Tensor& signal) const = 0;
  /// Takes in a step's signals, once they have been used: its own loss is (signal - value)^2.
  virtual void learn(const Batch& /*batch*/, const at::Tensor& /*signal*/) {}
  /// What must be saved to go on bit-exactly; tensors are shared.
  [[nodiscard]] virtual std::map<std::string, at::Tensor> state() const { return {}; }
};

/// The mean signal of the steps so far, a step's weight falling by `decay` with each after it; 0 at
/// the first.
class MovingAverage final : public Baseline {
 public:
  /// **Ranges** 0 <= decay < 1; ConfigError otherwise.
  explicit MovingAverage(double decay = 0.9);
  [[nodiscard]] at::Tensor value(const Batch& batch, const at::Tensor& signal) const override;
  void learn(const Batch& batch, const at::Tensor& signal) override;
  [[nodiscard]] std::map<std::string, at::Tensor> state() const override;

 private:
  double decay_;
  at::Tensor sums_;  // float64 [2]: of weighted signals, of weights
};

/// For each draw the mean signal of the row's other L - 1 (Kool, van Hoof and Welling 2019; VIMCO's
/// first step). **Throws** ConfigError at L = 1.
class LeaveOneOut final : public Baseline {
 public:
  [[nodiscard]] at::Tensor value(const Batch& batch, const at::Tensor& signal) const override;
};

/// Linear in x: b(x) = y + w (x - m), with the moving averages y of the signal and m of x, and w by
/// normalised least mean squares (Widrow and Hoff): needs no rate of its own, and is
/// input-dependent as in NVIL (Mnih and Gregor 2014). For a network, derive from Baseline.
class LinearBaseline final : public Baseline {
 public:
  /// x is `column` of the batch, `width` numbers a row.
  /// **Throws** ShapeError where it is not.
  /// **Ranges** width >= 1, 0 <= decay < 1, 0 < rate < 2; ConfigError otherwise.
  explicit LinearBaseline(int64_t width, std::string column = "x", double decay = 0.9,
                          double rate = 0.5);
  [[nodiscard]] at::Tensor value(const Batch& batch, const at::Tensor& signal) const override;
  void learn(const Batch& batch, const at::Tensor& signal) override;
  [[nodiscard]] std::map<std::string, at::Tensor> state() const override;

 private:
  [[nodiscard]] at::Tensor centred(const at::Tensor& x) const;        ///< x - m: [M, width]
  [[nodiscard]] at::Tensor predict(const at::Tensor& centred) const;  ///< [M]

  std::string column_;
  double decay_, rate_;
  at::Tensor weights_;  // float64 [width]
  at::Tensor sums_;     // float64 [width + 2]: of weighted x, of weighted signals, of weights
};

}  // namespace elbo
