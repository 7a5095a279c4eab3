#pragma once

#include "elbo/distributions/gamma.h"

namespace elbo {

namespace laws {
/// A gamma law whose shape is a whole number.
struct Erlang : Gamma {
  static constexpr const char* kName = "Erlang";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"shape", Range::kPositiveCount}, {"rate", Range::kPositive}}};
};
}  // namespace laws

/// The law of Erlang, the time until the shape-th event. AEVB 2.4 draws it by inverse CDF; so does
/// `icdf`, while `rsample` takes the gamma law's rejection, whose gradient is the same function of
/// the draw and which is ten times as fast.
/// **Equation** p(x) = rate^shape x^(shape - 1) e^(-rate x) / (shape - 1)!
/// **Ranges** shape a whole number >= 1, rate > 0; DomainError otherwise. The gradient along shape
/// is that of the gamma law.
class Erlang final : public Univariate<Erlang, laws::Erlang> {
 public:
  Erlang(at::Tensor shape, at::Tensor rate, Validate validate = Validate::kYes)
      : Univariate({std::move(shape), std::move(rate)}, validate) {}
  [[nodiscard]] const at::Tensor& shape() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& rate() const { return parameter(1); }
};

}  // namespace elbo
