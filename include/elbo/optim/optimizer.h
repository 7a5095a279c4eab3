// Optimisers over a flat buffer: one pass that also adds the weight prior.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "elbo/optim/flat_parameters.h"

namespace elbo {

namespace detail {
class UpdatesOnDevice;
}

/// Ascends an objective. `gradient` holds d objective / d parameter.
///
/// **Equation** g = gradient_scale * gradient - prior_precision * parameter: the second term is
/// the gradient of a Gaussian log prior N(0, 1 / prior_precision) on every weight and bias,
/// already on the objective's scale (1/N per datum: AEVB 5's MAP).
class Optimizer {
 public:
  /// What a pass saw of its segment on the way, before it moved it.
  struct Seen {
    double parameter_squares = 0;  ///< sum of squares
    double gradient_squares = 0;   ///< of `gradient` as given
  };

  virtual ~Optimizer() = default;

  double lr = 1e-3;
  double gradient_scale = 1;
  double prior_precision = 0;

  /// Moves the parameters of one segment, a block at a time.
  /// **Throws** NumericError where the gradient is not finite, having moved by 0 in its place.
  virtual Seen step(FlatParameters& parameters, const Segment& segment) = 0;
  /// State to be saved and put back, by name: KIND.PARAMETER for what is kept for each parameter
  /// (Adam: first, second; Adagrad: sum), steps.SEGMENT for Adam's counts. Shares memory with the
  /// optimiser. `parameters` are those it was made for.
  [[nodiscard]] virtual std::map<std::string, at::Tensor> state(
      const FlatParameters& parameters) const = 0;
  [[nodiscard]] virtual std::string name() const = 0;

 protected:
  /// What is kept where the parameters are not on the CPU.
  std::shared_ptr<detail::UpdatesOnDevice> on_device_;
};

/// Plain gradient ascent.
class Sgd final : public Optimizer {
 public:
  explicit Sgd(double lr) { this->lr = lr; }
  Seen step(FlatParameters& parameters, const Segment& segment) override;
  [[nodiscard]] std::map<std::string, at::Tensor> state(const FlatParameters&) const override {
    return {};
  }
  [[nodiscard]] std::string name() const override { return "sgd"; }
};

/// Adagrad (Duchi et al. 2010): h += g^2, w += lr g / (sqrt(h) + eps).
class Adagrad final : public Optimizer {
 public:
  Adagrad(const FlatParameters& parameters, double lr, double eps = 1e-10);
  Seen step(FlatParameters& parameters, const Segment& segment) override;
  [[nodiscard]] std::map<std::string, at::Tensor> state(
      const FlatParameters& parameters) const override;
  [[nodiscard]] std::string name() const override { return "adagrad"; }

 private:
  double eps_;
  at::Tensor sum_;
};

/// Adam (Kingma & Ba 2014) with bias correction, counted a segment, so that those updated
/// apart are corrected apart.
class Adam final : public Optimizer {
 public:
  Adam(const FlatParameters& parameters, double lr, double beta1 = 0.9, double beta2 = 0.999,
       double eps = 1e-8);
  Seen step(FlatParameters& parameters, const Segment& segment) override;
  [[nodiscard]] std::map<std::string, at::Tensor> state(
      const FlatParameters& parameters) const override;
  [[nodiscard]] std::string name() const override { return "adam"; }

 private:
  double beta1_, beta2_, eps_;
  at::Tensor first_, second_;
  at::Tensor steps_;  // int64 [segments]: updates each has had
};

/// "sgd", "adagrad" or "adam"; throws ConfigError otherwise.
[[nodiscard]] std::unique_ptr<Optimizer> make_optimizer(const std::string& name,
                                                        const FlatParameters& parameters,
                                                        double lr);

}  // namespace elbo
