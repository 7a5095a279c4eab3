#pragma once

#include "elbo/distributions/gamma.h"

namespace elbo {

namespace laws {
/// df1 x / (df1 x + df2) has the beta law with (df1 / 2, df2 / 2). Of it and what it lacks to 1,
/// the formulas take the smaller one, which has all its digits.
struct FisherSnedecor {
  static constexpr const char* kName = "FisherSnedecor";
  static constexpr std::array<Parameter, 2> kParameters = {
      {{"df1", Range::kPositive}, {"df2", Range::kPositive}}};
  static constexpr auto kSupport = Constraint::Kind::kPositive;

  template <class T>
  ELBO_INLINE static T log_prob(const T& x, const T& df1, const T& df2) {
    const T a = 0.5 * df1, b = 0.5 * df2;
    const T ratio = df1 / df2;
    return select(x < 0.0, -INFINITY,
                  a * log(ratio) + xlogy(a - 1.0, x) - (a + b) * log1p(ratio * x) - lbeta(a, b));
  }
  template <class T>
  ELBO_INLINE static T odds_of(const T& x, const T& df1, const T& df2) {
    return select(x <= 0.0, 0.0, df1 * x / df2);
  }
  template <class T>
  requires math::OneAtATime<T>
  static T cdf(const T& x, const T& df1, const T& df2) {
    const T a = 0.5 * df1, b = 0.5 * df2;
    const T odds = odds_of(x, df1, df2);
    if constexpr (!std::is_same_v<T, at::Tensor>)
      if (odds > 1.0) {
        const T above = beta_i(b, a, 1.0 / (1.0 + odds));
        if (above < 0.5) return 1.0 - above;
        return beta_ic(b, a, 1.0 / (1.0 + odds));
      }
    return beta_i(a, b, odds / (1.0 + odds));
  }
  template <class T>
  requires math::OneAtATime<T>
  static T log_cdf(const T& x, const T& df1, const T& df2) {
    const T a = 0.5 * df1, b = 0.5 * df2;
    const T odds = odds_of(x, df1, df2);
    if constexpr (!std::is_same_v<T, at::Tensor>)
      if (odds > 1.0) return log_beta_ic(b, a, 1.0 / (1.0 + odds));
    return log_beta_i(a, b, odds / (1.0 + odds));
  }
  template <class T>
  requires math::OneAtATime<T>
  static T log_survival(const T& x, const T& df1, const T& df2) {
    const T a = 0.5 * df1, b = 0.5 * df2;
    const T odds = odds_of(x, df1, df2);
    if constexpr (!std::is_same_v<T, at::Tensor>)
      if (odds > 1.0) return log_beta_i(b, a, 1.0 / (1.0 + odds));
    return log_beta_ic(a, b, odds / (1.0 + odds));
  }
  template <class T>
  requires math::OneAtATime<T>
  static T icdf(const T& u, const T& df1, const T& df2) {
    const T a = 0.5 * df1, b = 0.5 * df2;
    const T part = beta_i_inverse(a, b, u);
    if constexpr (!std::is_same_v<T, at::Tensor>)
      if (part > 0.5) {
        const T rest = beta_ic_inverse(b, a, u);
        return df2 / df1 * ((1.0 - rest) / rest);
      }
    return df2 / df1 * (part / (1.0 - part));
  }
  template <class V>
  ELBO_INLINE static V sample(Noise::Stream<V>& stream, const V* p) {
    auto other = stream.split(2);
    const V one = Gamma::log_standard<V>(stream, 0.5 * p[0]);
    const V two = Gamma::log_standard<V>(other, 0.5 * p[1]);
    return exp(one - two) * (p[1] / p[0]);
  }
  template <class T>
  requires(!std::is_same_v<T, at::Tensor>) ELBO_INLINE static T
      implicit(const T& z, const T& df1, const T& df2) {
    const auto odds = df1.value * z.value / df2.value;
    return df2 / df1 *
           exp(beta_draw_log_odds(0.5 * df1, 0.5 * df2, odds / (1.0 + odds), 1.0 / (1.0 + odds)));
  }
  template <class T>
  ELBO_INLINE static T entropy(const T& df1, const T& df2) {
    const T a = 0.5 * df1, b = 0.5 * df2;
    return log(df2 / df1) + lbeta(a, b) + (1.0 - a) * digamma(a) - (1.0 + b) * digamma(b) +
           (a + b) * digamma(a + b);
  }
  template <class T>
  ELBO_INLINE static T mean(const T& df1, const T& df2) {
    return select(df2 > 2.0, df2 / (df2 - 2.0) + 0.0 * df1, INFINITY);
  }
  template <class T>
  ELBO_INLINE static T variance(const T& df1, const T& df2) {
    return select(df2 > 4.0,
                  2.0 * square(df2 / (df2 - 2.0)) * (df1 + df2 - 2.0) / (df1 * (df2 - 4.0)),
                  INFINITY);
  }
  template <class T>
  ELBO_INLINE static T mode(const T& df1, const T& df2) {
    return select(df1 > 2.0, (df1 - 2.0) / df1 * (df2 / (df2 + 2.0)), 0.0);
  }
};
}  // namespace laws

/// The F law, of (x / df1) / (y / df2) where x and y have the chi-squared law with df1 and df2;
/// drawn so (AEVB 2.4 names it a composition), reparameterised implicitly.
/// **Equation** p(x) = (df1/df2)^(df1/2) x^(df1/2 - 1) (1 + df1 x / df2)^(-(df1 + df2)/2)
///                     / B(df1/2, df2/2)
/// **Ranges** df1 > 0, df2 > 0; DomainError otherwise.
class FisherSnedecor final : public Univariate<FisherSnedecor, laws::FisherSnedecor> {
 public:
  FisherSnedecor(at::Tensor df1, at::Tensor df2, Validate validate = Validate::kYes)
      : Univariate({std::move(df1), std::move(df2)}, validate) {}
  [[nodiscard]] const at::Tensor& df1() const { return parameter(0); }
  [[nodiscard]] const at::Tensor& df2() const { return parameter(1); }
};

}  // namespace elbo
