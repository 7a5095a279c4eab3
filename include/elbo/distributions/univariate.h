// Laws on the line, each written as scalar formulas in a file of its own.
//
// A law is a struct of static templates over the type of their arguments (see kernels/math.h):
//
//   kName, kParameters, kSupport     what it is
//   log_prob(x, parameters...)       required; -inf outside the support
//   cdf, log_cdf, log_survival       of (x, parameters...)
//   icdf(u, parameters...)
//   entropy, mean, variance, mode    of (parameters...)
//   draw(u, parameters...)           a draw from u, uniform on (0, 1), or normal if kFromNormal
//   sample(stream, parameters)       or a draw by rejection, of doubles or also of packs
//   implicit(z, parameters...)       a draw z by the parameters and the noise found from z, where
//                                    its slopes so are less work than by draw or by the cdf
//   valid(parameters...)             what they must fulfil together, said by kRequirement
//
// Methods that a law does not have throw UnsupportedError. Draws of a continuous law by rejection
// are reparameterised implicitly: dz/dtheta = -(dF/dtheta) / p at z.
#pragma once

#include <array>

#include "elbo/distributions/distribution.h"
#include "elbo/kernels/math.h"

namespace elbo {

/// Where a parameter may lie.
enum class Range {
  kReal,          ///< finite
  kPositive,      ///< > 0
  kNonNegative,   ///< >= 0
  kUnit,          ///< in [0, 1]
  kOpenUnit,      ///< in (0, 1)
  kCount,         ///< a whole number >= 0
  kPositiveCount  ///< a whole number >= 1
};

struct Parameter {
  const char* name;
  Range range;
};

namespace laws {
/// The `implicit` of a family of location and scale: loc + scale * noise.
template <class T>
ELBO_INLINE T implicit_location_scale(const T& z, const T& loc, const T& scale) {
  return loc + scale * constant((z - loc) / scale);
}
}  // namespace laws

/// The distribution over `Law`. `Self` is the public class; its constructor names the parameters.
///
/// **Shapes** parameters broadcast to the batch shape; events are scalars.
template <class Self, class Law>
class Univariate : public DistributionBase<Self> {
 public:
  static constexpr size_t kArity = Law::kParameters.size();

  [[nodiscard]] std::string name() const override { return Law::kName; }
  [[nodiscard]] bool has_rsample() const override;
  [[nodiscard]] bool is_discrete() const override;
  [[nodiscard]] at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_cdf(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor log_survival(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor icdf(const at::Tensor& u) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] at::Tensor mode() const override;
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;

  [[nodiscard]] const std::array<at::Tensor, kArity>& parameters() const { return parameters_; }

 protected:
  /// **Throws** DomainError, naming the parameter and its first offending place.
  Univariate(std::array<at::Tensor, kArity> parameters, Validate validate);
  [[nodiscard]] const at::Tensor& parameter(size_t i) const { return parameters_[i]; }

 private:
  /// `draw` of fresh noise, with its gradient.
  [[nodiscard]] at::Tensor from_noise(const Noise& noise, at::IntArrayRef shape) const;

  std::array<at::Tensor, kArity> parameters_;
};

}  // namespace elbo
