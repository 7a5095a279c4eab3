// The interface of every distribution, named as in torch.distributions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/distributions/constraint.h"
#include "elbo/error.h"
#include "elbo/kernels/noise.h"

namespace elbo {

class Distribution;
using DistributionPtr = std::shared_ptr<const Distribution>;

/// Whether a constructor checks its parameters' values (shapes are always checked).
enum class Validate : bool { kNo = false, kYes = true };

/// While it lives, the laws and bijections made on this thread do not check their parameters'
/// values, whatever they are told. Where a parameter is wrong the density is NaN or -inf: so a
/// sampler that tries points far out loses that point, and not the run.
class WithoutValidation {
 public:
  WithoutValidation();
  WithoutValidation(const WithoutValidation&) = delete;
  WithoutValidation& operator=(const WithoutValidation&) = delete;
  ~WithoutValidation();

 private:
  bool before_;
};

/// A probability law over events of shape E, for a batch of parameters of shape B.
///
/// **Shapes** `sample(noise, S)` and `rsample(noise, S)` give S + B + E; `log_prob(x)` takes
/// anything that broadcasts with B + E and gives the density event-summed, S + B.
/// **Units** nats.
/// **RNG** draws from the `Noise` passed in, which it does not change.
/// **Throws** UnsupportedError where a law has no such method in closed form.
class Distribution {
 public:
  virtual ~Distribution() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] const std::vector<int64_t>& batch_shape() const { return batch_shape_; }
  [[nodiscard]] const std::vector<int64_t>& event_shape() const { return event_shape_; }

  /// A draw without gradient.
  [[nodiscard]] virtual at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const;
  /// A reparameterised draw (AEVB 2.4); its gradient reaches the parameters.
  [[nodiscard]] virtual at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const;
  [[nodiscard]] virtual bool has_rsample() const { return false; }
  /// True where the support is finite and can be enumerated.
  [[nodiscard]] virtual bool is_discrete() const { return false; }

  [[nodiscard]] virtual at::Tensor log_prob(const at::Tensor& x) const = 0;
  /// `log_prob` summed over its last `event_dims` dimensions, as `Independent` has it: in one pass
  /// where the law has one.
  [[nodiscard]] virtual at::Tensor log_prob_sum(const at::Tensor& x, int64_t event_dims) const;
  [[nodiscard]] virtual at::Tensor cdf(const at::Tensor& x) const;
  [[nodiscard]] virtual at::Tensor log_cdf(const at::Tensor& x) const;
  [[nodiscard]] virtual at::Tensor icdf(const at::Tensor& u) const;
  [[nodiscard]] virtual at::Tensor entropy() const;
  [[nodiscard]] virtual at::Tensor mean() const;
  [[nodiscard]] virtual at::Tensor variance() const;

  /// log(1 - F(x)), exact where F is near 1.
  [[nodiscard]] virtual at::Tensor log_survival(const at::Tensor& x) const;
  [[nodiscard]] virtual at::Tensor mode() const;
  /// Where `log_prob` is finite.
  [[nodiscard]] virtual Constraint support() const;

  /// The same law with its batch broadcast to `batch_shape`, without copying.
  [[nodiscard]] virtual DistributionPtr expand(at::IntArrayRef batch_shape) const = 0;
  [[nodiscard]] virtual DistributionPtr clone() const = 0;

 protected:
  Distribution(std::vector<int64_t> batch_shape, std::vector<int64_t> event_shape);
  /// S + B + E.
  [[nodiscard]] std::vector<int64_t> extended_shape(at::IntArrayRef sample_shape) const;
  [[noreturn]] void unsupported(const char* method) const;
  void set_batch_shape(std::vector<int64_t> shape) { batch_shape_ = std::move(shape); }

 private:
  std::vector<int64_t> batch_shape_;
  std::vector<int64_t> event_shape_;
};

/// `base` with its last `event_dims` batch dimensions taken as part of the event.
class Independent final : public Distribution {
 public:
  Independent(DistributionPtr base, int64_t event_dims);

  [[nodiscard]] const DistributionPtr& base() const { return base_; }
  [[nodiscard]] int64_t reinterpreted() const { return event_dims_; }

  [[nodiscard]] std::string name() const override;
  [[nodiscard]] at::Tensor sample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] at::Tensor rsample(const Noise& noise, at::IntArrayRef shape = {}) const override;
  [[nodiscard]] bool has_rsample() const override { return base_->has_rsample(); }
  [[nodiscard]] bool is_discrete() const override { return base_->is_discrete(); }
  [[nodiscard]] at::Tensor log_prob(const at::Tensor& x) const override;
  [[nodiscard]] at::Tensor entropy() const override;
  [[nodiscard]] at::Tensor mean() const override;
  [[nodiscard]] at::Tensor variance() const override;
  [[nodiscard]] at::Tensor mode() const override;
  /// That of each element.
  [[nodiscard]] Constraint support() const override;
  [[nodiscard]] DistributionPtr expand(at::IntArrayRef batch_shape) const override;
  [[nodiscard]] DistributionPtr clone() const override;

  /// Sums the last `event_dims` dimensions of a base-shaped tensor.
  [[nodiscard]] at::Tensor sum_event(const at::Tensor& x) const;

 private:
  DistributionPtr base_;
  int64_t event_dims_;
};

/// Supplies `clone()` and `to_event()` to a law from its own copy constructor.
template <class Self>
class DistributionBase : public Distribution {
 public:
  using Distribution::Distribution;
  [[nodiscard]] DistributionPtr clone() const override {
    return std::make_shared<Self>(static_cast<const Self&>(*this));
  }
  /// The last `event_dims` batch dimensions become the event.
  [[nodiscard]] Independent to_event(int64_t event_dims) const {
    return Independent(clone(), event_dims);
  }
};

namespace detail {
/// Common broadcast shape of a and b; throws ShapeError, in which `what` names the law and the two.
std::vector<int64_t> broadcast_shape(std::string_view what, at::IntArrayRef a, at::IntArrayRef b);
/// x expanded, without a view, and its node in the graph, where it has the shape already.
at::Tensor expanded(const at::Tensor& x, at::IntArrayRef shape);
/// Sums the last `dims` dimensions.
at::Tensor sum_last(const at::Tensor& x, int64_t dims);
/// Throws DomainError "Normal: scale must be > 0, got -1 at [3, 7]" unless all of `ok`.
void check_parameter(const std::string& law, const char* parameter, const char* expected,
                     const at::Tensor& value, const at::Tensor& ok);
/// Throws DomainError "Uniform: expected low < high at [2]" unless all of `ok`.
void check_together(const std::string& law, const char* requirement, const at::Tensor& ok);
}  // namespace detail

}  // namespace elbo
