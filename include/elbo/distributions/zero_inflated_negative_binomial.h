#pragma once

#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/univariate.h"

namespace elbo {

namespace laws {
struct ZeroInflatedNegativeBinomial {
  static constexpr const char* kName = "ZeroInflatedNegativeBinomial";
  static constexpr std::array<Parameter, 3> kParameters = {
      {{"gate", Range::kUnit}, {"total_count", Range::kPositive}, {"probs", Range::kUnit}}};
  static constexpr auto kSupport = Constraint::Kind::kCount;
  static constexpr const char* kRequirement = "gate < 1 and probs < 1";
  template <class T>
  static auto valid(const T& gate, const T&, const T& probs) {
    return (gate < 1.0) & (probs < 1.0);
  }

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& gate, const T& total_count, const T& probs) {
    return select(x == 0.0, inflated(gate, total_count * log1p(-probs)),
                  log1p(-gate) + NegativeBinomial::log_prob(x, total_count, probs));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T cdf(const T& x, const T& gate, const T& total_count, const T& probs) {
    return select(x < 0.0, 0.0, gate + (1.0 - gate) * NegativeBinomial::cdf(x, total_count, probs));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T log_cdf(const T& x, const T& gate, const T& total_count, const T& probs) {
    return select(x < 0.0, -INFINITY,
                  inflated(gate, NegativeBinomial::log_cdf(x, total_count, probs)));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T log_survival(const T& x, const T& gate, const T& total_count,
                                    const T& probs) {
    return select(x < 0.0, 0.0,
                  log1p(-gate) + NegativeBinomial::log_survival(x, total_count, probs));
  }
  template <math::Scalar T>
  ELBO_INLINE static T icdf(const T& u, const T& gate, const T& total_count, const T& probs) {
    const double g = detail_poisson::value_of(gate);
    const double r = detail_poisson::value_of(total_count);
    const double p = detail_poisson::value_of(probs);
    const double v = detail_poisson::value_of(u);
    const double guess = v > g ? NegativeBinomial::guess((v - g) / (1 - g), r, p) : 0;
    return detail_poisson::smallest<ZeroInflatedNegativeBinomial>(v, guess, INFINITY, g, r, p);
  }
  static double sample(Noise::Stream<double>& stream, const double* p) {
    return stream.uniform() < p[0] ? 0 : NegativeBinomial::sample(stream, p + 1);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& gate, const T& total_count, const T& probs) {
    return (1.0 - gate) * NegativeBinomial::mean(total_count, probs);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& gate, const T& total_count, const T& probs) {
    return (1.0 - gate) * (NegativeBinomial::variance(total_count, probs) +
                           gate * square(NegativeBinomial::mean(total_count, probs)));
  }
  template <math::OneAtATime T>
  ELBO_INLINE static T mode(const T& gate, const T& total_count, const T& probs) {
    const T inner = NegativeBinomial::mode(total_count, probs);
    return select(
        log_prob(0.0 * gate, gate, total_count, probs) < log_prob(inner, gate, total_count, probs),
        inner, 0.0);
  }

 private:
  /// log(gate + (1 - gate) e^l), l <= 0.
  template <class T>
  ELBO_INLINE static T inflated(const T& gate, const T& l) {
    const T a = log(gate), b = log1p(-gate) + l;
    return select(l > -600.0, l + log1p(gate * expm1(-l)),
                  maximum(a, b) + log1p(exp(minimum(a, b) - maximum(a, b))));
  }
};
}  // namespace laws

/// 0 with probability `gate`, else a draw of NegativeBinomial(total_count, probs).
/// **Equation** p(k) = gate [k = 0] + (1 - gate) NegativeBinomial(k; total_count, probs)
/// **Ranges** gate in [0, 1), total_count > 0, probs in [0, 1); DomainError otherwise.
class ZeroInflatedNegativeBinomial final
    : public Univariate<ZeroInflatedNegativeBinomial, laws::ZeroInflatedNegativeBinomial> {
 public:
  ZeroInflatedNegativeBinomial(at::Tensor gate, at::Tensor total_count, at::Tensor probs,
                               Validate validate = Validate::kYes)
      : Univariate({std::move(gate), std::move(total_count), std::move(probs)}, validate) {}
  [[nodiscard]] const at::Tensor& gate() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& total_count() const { return parameter(1); }
  [[nodiscard]] const at::Tensor& probs() const { return parameter(2); }
};

}  // namespace elbo
