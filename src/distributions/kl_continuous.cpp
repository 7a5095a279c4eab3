#include <numbers>

#include "distributions/detail/kl_pairs.h"
#include "elbo/distributions/beta.h"
#include "elbo/distributions/cauchy.h"
#include "elbo/distributions/chi2.h"
#include "elbo/distributions/continuous_bernoulli.h"
#include "elbo/distributions/erlang.h"
#include "elbo/distributions/exponential.h"
#include "elbo/distributions/fisher_snedecor.h"
#include "elbo/distributions/gamma.h"
#include "elbo/distributions/gompertz.h"
#include "elbo/distributions/gumbel.h"
#include "elbo/distributions/half_cauchy.h"
#include "elbo/distributions/half_normal.h"
#include "elbo/distributions/inverse_gamma.h"
#include "elbo/distributions/kumaraswamy.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/log_normal.h"
#include "elbo/distributions/logistic.h"
#include "elbo/distributions/pareto.h"
#include "elbo/distributions/rayleigh.h"
#include "elbo/distributions/reciprocal.h"
#include "elbo/distributions/student_t.h"
#include "elbo/distributions/triangular.h"
#include "elbo/distributions/von_mises.h"
#include "elbo/distributions/weibull.h"

namespace elbo {
namespace detail {

at::Tensor or_infinite(const at::Tensor& ok, const at::Tensor& value) {
  return at::where(ok, value, at::full({}, INFINITY, value.options().requires_grad(false)));
}

at::Tensor gamma_excess(const at::Tensor& b, const at::Tensor& a) {
  const auto large = at::minimum(a, b) >= 20;
  // Each branch sees only arguments it can bear: Stirling's series, correction S and slope S'.
  const auto series = [](const at::Tensor& x) {
    const auto r = 1 / x.square();
    return (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r / 1188)))) / x;
  };
  const auto slope = [](const at::Tensor& x) {
    const auto r = 1 / x.square();
    return -r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r / 132))));
  };
  const auto A = at::where(large, a, 20.0), B = at::where(large, b, 20.0);
  const auto d = B - A, log_ratio = at::log1p(d / A);
  const auto far = (B - 0.5) * log_ratio - d + 0.5 * d / A + series(B) - series(A) - d * slope(A);
  const auto near_a = at::where(large, 1.0, a), near_b = at::where(large, 1.0, b);
  const auto near = near_b.lgamma() - near_a.lgamma() - (near_b - near_a) * near_a.digamma();
  return at::where(large, far, near);
}

at::Tensor kl_of_betas(const at::Tensor& q1, const at::Tensor& q0, const at::Tensor& p1,
                       const at::Tensor& p0) {
  return gamma_excess(p1, q1) + gamma_excess(p0, q0) - gamma_excess(p1 + p0, q1 + q0);
}

}  // namespace detail

namespace {

using at::Tensor;
using detail::add_on_line;
using detail::for_each;
using detail::for_pairs;
using detail::gamma_excess;
using detail::Laws;
using detail::or_infinite;
using math::kHalfLogTwoPi;
using std::numbers::egamma;
using std::numbers::pi;

// ---- The generalised gamma law (Stacy 1962), which is eight of the laws:
// p(x) = |power| / (s Gamma(shape)) (x / s)^(shape power - 1) e^(-(x / s)^power)

struct GeneralizedGamma {
  Tensor shape, log_scale, power;
};
Tensor like(const Tensor& x, double value) {
  return at::full({}, value, x.options().requires_grad(false));
}
GeneralizedGamma generalized_gamma(const Exponential& law) {
  return {like(law.rate(), 1), -law.rate().log(), like(law.rate(), 1)};
}
GeneralizedGamma generalized_gamma(const Gamma& law) {
  return {law.concentration(), -law.rate().log(), like(law.rate(), 1)};
}
GeneralizedGamma generalized_gamma(const Chi2& law) {
  return {0.5 * law.df(), like(law.df(), std::numbers::ln2), like(law.df(), 1)};
}
GeneralizedGamma generalized_gamma(const Erlang& law) {
  return {law.shape(), -law.rate().log(), like(law.rate(), 1)};
}
GeneralizedGamma generalized_gamma(const InverseGamma& law) {
  return {law.concentration(), law.rate().log(), like(law.rate(), -1)};
}
GeneralizedGamma generalized_gamma(const Weibull& law) {
  return {like(law.scale(), 1), law.scale().log(), law.concentration()};
}
GeneralizedGamma generalized_gamma(const Rayleigh& law) {
  return {like(law.scale(), 1), law.scale().log() + 0.5 * std::numbers::ln2, like(law.scale(), 2)};
}
GeneralizedGamma generalized_gamma(const HalfNormal& law) {
  return {like(law.scale(), 0.5), law.scale().log() + 0.5 * std::numbers::ln2,
          like(law.scale(), 2)};
}

// Bauckhage 2014, with the terms that cancel for equal laws brought together.
Tensor kl_generalized_gamma(const GeneralizedGamma& q, const GeneralizedGamma& p) {
  const auto a = q.shape;
  const auto c = p.power / q.power;
  const auto u = p.power * (q.log_scale - p.log_scale);
  const auto finite = a + c > 0;
  const auto moment = at::where(finite, a + c, a + 1);
  // log of E (x / s_p)^power_p / a
  const auto log_mean = u + gamma_excess(moment, a + 1) + (c - 1) * (a + 1).digamma();
  return or_infinite(finite, gamma_excess(p.shape, a) + p.shape * ((1 - c) * a.digamma() - u) -
                                 c.abs().log() + a * log_mean.expm1());
}

// ---- Laws on the positive numbers: E log x, Var log x and E (x / e^log_scale)^power

struct LogMoments {
  Tensor mean, variance;
};
// special_zeta(2, x) is the trigamma function, to more digits than polygamma(1, x).
Tensor trigamma(const Tensor& x) { return at::special_zeta(2, x); }
// log Gamma(x + h) - log Gamma(x)
Tensor log_gamma_step(const Tensor& x, const Tensor& h) {
  return gamma_excess(x + h, x) + h * x.digamma();
}

template <class Law>
requires requires(const Law& law) { generalized_gamma(law); }
LogMoments log_moments(const Law& law) {
  const auto g = generalized_gamma(law);
  return {g.log_scale + g.shape.digamma() / g.power, trigamma(g.shape) / g.power.square()};
}
LogMoments log_moments(const LogNormal& law) { return {law.loc(), law.scale().square()}; }
Tensor power_mean(const LogNormal& law, const Tensor& power, const Tensor& log_scale) {
  return (power * (law.loc() - log_scale) + 0.5 * (power * law.scale()).square()).exp();
}
LogMoments log_moments(const Pareto& law) {
  return {law.scale().log() + 1 / law.alpha(), 1 / law.alpha().square()};
}
Tensor power_mean(const Pareto& law, const Tensor& power, const Tensor& log_scale) {
  const auto finite = power < law.alpha();
  const auto rest = at::where(finite, law.alpha() - power, 1.0);
  return or_infinite(finite, (power * (law.scale().log() - log_scale)).exp() * law.alpha() / rest);
}
LogMoments log_moments(const HalfCauchy& law) {
  return {law.scale().log(), like(law.scale(), pi * pi / 4)};
}
Tensor power_mean(const HalfCauchy& law, const Tensor& power, const Tensor& log_scale) {
  const auto finite = power.abs() < 1;
  const auto held = at::where(finite, power, 0.0);
  return or_infinite(finite,
                     (held * (law.scale().log() - log_scale)).exp() / (0.5 * pi * held).cos());
}
LogMoments log_moments(const Beta& law) {
  const auto both = law.concentration1() + law.concentration0();
  return {law.concentration1().digamma() - both.digamma(),
          trigamma(law.concentration1()) - trigamma(both)};
}
Tensor power_mean(const Beta& law, const Tensor& power, const Tensor& log_scale) {
  const auto one = law.concentration1();
  const auto finite = one + power > 0;
  const auto held = at::where(finite, power, 0.0);
  return or_infinite(finite, (log_gamma_step(one, held) -
                              log_gamma_step(one + law.concentration0(), held) - held * log_scale)
                                 .exp());
}
// x^concentration1 is Beta(1, concentration0).
LogMoments log_moments(const Kumaraswamy& law) {
  const auto next = law.concentration0() + 1;
  return {-(next.digamma() + egamma) / law.concentration1(),
          (pi * pi / 6 - trigamma(next)) / law.concentration1().square()};
}
Tensor power_mean(const Kumaraswamy& law, const Tensor& power, const Tensor& log_scale) {
  const auto h = power / law.concentration1();
  const auto finite = h > -1;
  const auto held = at::where(finite, h, 0.0);
  return or_infinite(finite,
                     (at::lgamma(1 + held) - log_gamma_step(law.concentration0() + 1, held) -
                      held * law.concentration1() * log_scale)
                         .exp());
}
LogMoments log_moments(const Reciprocal& law) {
  const auto width = at::log1p((law.high() - law.low()) / law.low());
  return {law.low().log() + 0.5 * width, width.square() / 12};
}
Tensor power_mean(const Reciprocal& law, const Tensor& power, const Tensor& log_scale) {
  const auto width = power * at::log1p((law.high() - law.low()) / law.low());
  return (power * (law.low().log() - log_scale)).exp() * width.expm1() / width;
}
// low = 0 as the smallest of numbers, at which the gradients are right too.
Tensor above_zero(const Tensor& low) { return at::where(low > 0, low, low.clamp_min(0) + 1e-300); }
// The mean and variance of log x for x uniform; low >= 0.
LogMoments log_moments_of_uniform(const Tensor& low, const Tensor& high) {
  const auto l = above_zero(low), d = high - l;
  const auto narrow = d < l;
  const auto log_ratio =
      at::where(narrow, at::log1p(at::where(narrow, d, 1.0) / at::where(narrow, l, 1.0)),
                high.log() - l.log());
  return {high.log() + l * log_ratio / d - 1, 1 - (l / d) * (high / d) * log_ratio.square()};
}
LogMoments log_moments(const Uniform& law) { return log_moments_of_uniform(law.low(), law.high()); }
Tensor power_mean(const Uniform& law, const Tensor& power, const Tensor& log_scale) {
  const auto l = above_zero(law.low()), h = law.high();
  const auto t = l.log() - h.log();
  const auto next = at::where(power == -1, 1.0, power + 1);
  const auto part = at::where(power == -1, t, (next * t).expm1() / next) / (l / h - 1);
  return or_infinite((law.low() > 0).logical_or(power > -1),
                     (power * (h.log() - log_scale)).exp() * part);
}

template <class Law>
Tensor from_positive(const Law& law) {
  if constexpr (std::is_same_v<Law, Uniform>) {
    return law.low() >= 0;
  } else {
    return like(log_moments(law).mean, 1) > 0;
  }
}
/// A stand-in where the support does not suit: its value is not used.
template <class Law>
Law held_positive(const Law& law) {
  if constexpr (std::is_same_v<Law, Uniform>) {
    const auto ok = law.low() >= 0;
    return {at::where(ok, law.low(), 1.0), at::where(ok, law.high(), 2.0), Validate::kNo};
  } else {
    return law;
  }
}

template <class Q>
Tensor kl_against_generalized_gamma(const Q& q, const GeneralizedGamma& p) {
  const auto held = held_positive(q);
  return or_infinite(from_positive(q),
                     p.log_scale + p.shape.lgamma() - p.power.abs().log() - held.entropy() -
                         (p.shape * p.power - 1) * (log_moments(held).mean - p.log_scale) +
                         power_mean(held, p.power, p.log_scale));
}
template <class Q>
Tensor kl_against_log_normal(const Q& q, const LogNormal& p) {
  const auto held = held_positive(q);
  const auto logs = log_moments(held);
  return or_infinite(
      from_positive(q),
      logs.mean + p.scale().log() + kHalfLogTwoPi - held.entropy() +
          0.5 * (logs.variance + (logs.mean - p.loc()).square()) / p.scale().square());
}
template <class Q>
Tensor kl_against_pareto(const Q& q, const Pareto& p) {
  return or_infinite(q.low() >= p.scale(), (p.alpha() + 1) * log_moments(held_positive(q)).mean -
                                               p.alpha().log() - p.alpha() * p.scale().log() -
                                               q.entropy());
}

// ---- Targets that need the mean, or the mean and the variance

// 1/2 log(2 pi scale^2) + E (x - loc)^2 / (2 scale^2) - entropy; moments that do not exist are
// those of a second moment without end.
template <class Q>
Tensor kl_against_normal(const Q& q, const Normal& p) {
  const auto second = q.variance() + (q.mean() - p.loc()).square();
  const auto kl = p.log_scale() + kHalfLogTwoPi - q.entropy() + 0.5 * second / p.scale().square();
  return or_infinite(second.isfinite(), kl);
}
template <class Q>
Tensor kl_against_exponential(const Q& q, const Exponential& p) {
  return p.rate() * q.mean() - p.rate().log() - q.entropy();
}

template <class Law>
std::pair<Tensor, Tensor> ends(const Law& law) {
  if constexpr (requires { law.low(); }) {
    return {law.low(), law.high()};
  } else {
    const auto& any = law.parameters()[0];
    return {like(any, 0), like(any, 1)};
  }
}
template <class Q>
Tensor inside(const Q& q, const Tensor& low, const Tensor& high) {
  const auto [from, to] = ends(q);
  return (from >= low).logical_and(to <= high);
}
template <class Q>
Tensor kl_against_uniform(const Q& q, const Uniform& p) {
  return or_infinite(inside(q, p.low(), p.high()), (p.high() - p.low()).log() - q.entropy());
}
template <class Q>
Tensor kl_against_continuous_bernoulli(const Q& q, const ContinuousBernoulli& p) {
  using Law = laws::ContinuousBernoulli;
  const auto h = Law::logit(p.probs());
  return or_infinite(inside(q, like(h, 0), like(h, 1)),
                     Law::log_sinhc(0.5 * h) - h * (q.mean() - 0.5) - q.entropy());
}

// ---- Gumbel: log E e^(-t x), t > 0

Tensor log_laplace_transform(const Normal& q, const Tensor& t) {
  return 0.5 * (t * q.scale()).square() - t * q.loc();
}
template <class Q>
requires requires(const Q& law) { generalized_gamma(law); }
Tensor log_laplace_transform(const Q& q, const Tensor& t) {
  const auto g = generalized_gamma(q);
  return -g.shape * at::log1p(t * g.log_scale.exp());
}
Tensor log_laplace_transform(const Uniform& q, const Tensor& t) {
  const auto width = t * (q.high() - q.low());
  return (-(-width).expm1() / width).log() - t * q.low();
}
Tensor log_laplace_transform(const Laplace& q, const Tensor& t) {
  const auto w = (t * q.scale()).square();
  return or_infinite(w < 1, -at::log1p(-at::where(w < 1, w, 0.0)) - t * q.loc());
}
Tensor log_laplace_transform(const Logistic& q, const Tensor& t) {
  const auto w = pi * t * q.scale();
  const auto held = at::where(w < pi, w, 1.0);
  return or_infinite(w < pi, (held / held.sin()).log() - t * q.loc());
}
template <class Q>
Tensor kl_against_gumbel(const Q& q, const Gumbel& p) {
  const auto t = 1 / p.scale();
  return p.scale().log() - q.entropy() + (q.mean() - p.loc()) * t +
         (p.loc() * t + log_laplace_transform(q, t)).exp();
}

// ---- Laplace: E |x - m|

Tensor mean_distance(const Normal& q, const Tensor& m) {
  const auto z = (q.loc() - m) / q.scale();
  return q.scale() *
         (std::sqrt(2 / pi) * (-0.5 * z.square()).exp() + z * at::erf(z / std::numbers::sqrt2));
}
Tensor mean_distance(const Uniform& q, const Tensor& m) {
  const auto c = at::minimum(at::maximum(m, q.low()), q.high());
  return 0.5 * ((q.high() - c).square() + (c - q.low()).square()) / (q.high() - q.low()) +
         (m - c).abs();
}
Tensor mean_distance(const Exponential& q, const Tensor& m) {
  const auto c = m.clamp_min(0);
  return 2 * c - m + (2 * (-q.rate() * c).exp() - 1) / q.rate();
}
Tensor mean_distance(const Logistic& q, const Tensor& m) {
  const auto z = (q.loc() - m).abs() / q.scale();
  return q.scale() * (z + 2 * at::log1p((-z).exp()));
}
template <class Q>
Tensor kl_against_laplace(const Q& q, const Laplace& p) {
  return (2 * p.scale()).log() - q.entropy() + mean_distance(q, p.loc()) / p.scale();
}

// ---- Pairs of a family of its own

Tensor kl_beta_beta(const Beta& q, const Beta& p) {
  return detail::kl_of_betas(q.concentration1(), q.concentration0(), p.concentration1(),
                             p.concentration0());
}
// Chyzak and Nielsen 2019.
Tensor kl_of_cauchys(const Tensor& shift, const Tensor& q_scale, const Tensor& p_scale) {
  const auto d = q_scale - p_scale;
  return at::log1p(0.25 * ((d / q_scale) * (d / p_scale) + (shift / q_scale) * (shift / p_scale)));
}
Tensor kl_cauchy_cauchy(const Cauchy& q, const Cauchy& p) {
  return kl_of_cauchys(q.loc() - p.loc(), q.scale(), p.scale());
}
Tensor kl_half_cauchy_half_cauchy(const HalfCauchy& q, const HalfCauchy& p) {
  return kl_of_cauchys(like(q.scale(), 0), q.scale(), p.scale());
}
Tensor kl_continuous_bernoullis(const ContinuousBernoulli& q, const ContinuousBernoulli& p) {
  using Law = laws::ContinuousBernoulli;
  const auto h = Law::logit(q.probs()), k = Law::logit(p.probs());
  return Law::log_sinhc(0.5 * k) - Law::log_sinhc(0.5 * h) + 0.5 * (h - k) * Law::slope(0.5 * h);
}
Tensor kl_gumbel_gumbel(const Gumbel& q, const Gumbel& p) {
  const auto c = q.scale() / p.scale(), shift = (q.loc() - p.loc()) / p.scale();
  return shift + egamma * (c - 1) - c.log() + (at::lgamma(1 + c) - shift).expm1();
}
Tensor kl_laplace_laplace(const Laplace& q, const Laplace& p) {
  const auto c = q.scale() / p.scale(), t = (q.loc() - p.loc()).abs() / q.scale();
  return c - 1 - c.log() + c * ((-t).expm1() + t);
}
Tensor kl_log_normals(const LogNormal& q, const LogNormal& p) {
  const auto c = (q.scale() / p.scale()).square();
  return 0.5 * (c - 1 - c.log() + ((q.loc() - p.loc()) / p.scale()).square());
}
Tensor kl_pareto_pareto(const Pareto& q, const Pareto& p) {
  const auto c = p.alpha() / q.alpha();
  return or_infinite(q.scale() >= p.scale(),
                     c - 1 - c.log() + p.alpha() * (q.scale() / p.scale()).log());
}
Tensor log_width(const Reciprocal& law) {
  return at::log1p((law.high() - law.low()) / law.low()).log();
}
Tensor kl_reciprocals(const Reciprocal& q, const Reciprocal& p) {
  return or_infinite(inside(q, p.low(), p.high()), log_width(p) - log_width(q));
}
Tensor kl_uniform_reciprocal(const Uniform& q, const Reciprocal& p) {
  return or_infinite(inside(q, p.low(), p.high()),
                     log_moments(held_positive(q)).mean + log_width(p) - q.entropy());
}
Tensor kl_uniform_beta(const Uniform& q, const Beta& p) {
  const auto ok = inside(q, like(q.low(), 0), like(q.low(), 1));
  const auto low = at::where(ok, q.low(), 0.0), high = at::where(ok, q.high(), 1.0);
  const auto log_beta = p.concentration1().lgamma() + p.concentration0().lgamma() -
                        (p.concentration1() + p.concentration0()).lgamma();
  return or_infinite(ok,
                     log_beta - (high - low).log() -
                         (p.concentration1() - 1) * log_moments_of_uniform(low, high).mean -
                         (p.concentration0() - 1) * log_moments_of_uniform(1 - high, 1 - low).mean);
}
// E log(1 - u^c) of u ~ Kumaraswamy(1, b): with v = 1 - u ~ Beta(b, 1) and w = v^b uniform, -1/b +
// the integral over w of log((1 - (1 - v)^c) / v), which is bounded; by the tanh-sinh rule, to
// 1e-12 where b and c are between 1e-3 and 1e3.
Tensor mean_log_rest(const Tensor& c, const Tensor& b) {
  constexpr double kStep = 0.025;
  constexpr int64_t kSide = 130;
  const auto t = kStep * at::arange(-kSide, kSide + 1, c.options().requires_grad(false));
  const auto y = pi * t.sinh();
  const auto weight = kStep * pi * t.cosh() * y.sigmoid() * (-y).sigmoid();
  const auto power = c.unsqueeze(-1);
  const auto log_v = at::log_sigmoid(y) / b.unsqueeze(-1);
  const auto tiny = log_v < -36;  // where the ratio is c
  const auto held = at::where(tiny, -1.0, log_v);
  const auto ratio = math::log1mexp(power * math::log1mexp(held)) - held;
  return (weight * at::where(tiny, power.log(), ratio)).sum(-1) - 1 / b;
}
Tensor kl_kumaraswamy_beta(const Kumaraswamy& q, const Beta& p) {
  const auto &one = p.concentration1(), &zero = p.concentration0();
  return one.lgamma() + zero.lgamma() - (one + zero).lgamma() - q.entropy() -
         (one - 1) * log_moments(q).mean -
         (zero - 1) * mean_log_rest(1 / q.concentration1(), q.concentration0());
}
Tensor kl_kumaraswamys(const Kumaraswamy& q, const Kumaraswamy& p) {
  const auto c = p.concentration1() / q.concentration1();
  return -(p.concentration1().log() + p.concentration0().log()) - q.entropy() -
         (p.concentration1() - 1) * log_moments(q).mean -
         (p.concentration0() - 1) * mean_log_rest(c, q.concentration0());
}
Tensor kl_von_mises(const VonMises& q, const VonMises& p) {
  const auto &k = q.concentration(), &m = p.concentration();
  const auto resultant = math::i1_over_i0(k);
  return at::special_i0e(m).log() - at::special_i0e(k).log() + (m - k) * (1 - resultant) +
         2 * m * resultant * (0.5 * (q.loc() - p.loc())).sin().square();
}

// ---- The registry

using GammaLike = Laws<Exponential, Gamma, Chi2, Erlang>;
using GeneralizedGammas =
    Laws<Exponential, Gamma, Chi2, Erlang, Weibull, Rayleigh, HalfNormal, InverseGamma>;
using WithPowers = Laws<LogNormal, Pareto, HalfCauchy, Beta, Kumaraswamy, Reciprocal, Uniform>;
using OnReals = Laws<Normal, Laplace, Gumbel, Cauchy, Logistic, StudentT>;
using OnPositives = Laws<Exponential, Gamma, Chi2, Erlang, Weibull, Rayleigh, HalfNormal,
                         InverseGamma, LogNormal, HalfCauchy, Gompertz, FisherSnedecor>;
using OnUnit = Laws<Beta, ContinuousBernoulli, Kumaraswamy>;
using OnInterval = Laws<Uniform, Triangular, Reciprocal>;

/// Where the support of q never lies in that of p, or q has no such moment.
void add_infinite() {
  const auto add = []<class Q, class P>() {
    add_on_line<Q, P>([](const Q& q, const P&) {
      return like(std::get<0>(std::tuple_cat(detail::parameters_of(q))), INFINITY);
    });
  };
  for_pairs(OnReals{}, OnPositives{}, add);
  for_pairs(OnReals{}, Laws<Pareto>{}, add);
  for_pairs(OnReals{}, OnUnit{}, add);
  for_pairs(OnReals{}, OnInterval{}, add);
  for_pairs(OnPositives{}, Laws<Pareto>{}, add);
  for_pairs(OnPositives{}, OnUnit{}, add);
  for_pairs(OnPositives{}, OnInterval{}, add);
  for_pairs(Laws<Pareto>{}, OnUnit{}, add);
  for_pairs(Laws<Pareto>{}, OnInterval{}, add);
  for_pairs(OnUnit{}, Laws<Pareto, Reciprocal>{}, add);
  for_pairs(Laws<Cauchy, HalfCauchy>{}, Laws<Normal, Laplace, Gumbel, Logistic>{}, add);
}

}  // namespace

void detail::register_continuous_kl() {
  add_infinite();
  for_pairs(GeneralizedGammas{}, GeneralizedGammas{}, []<class Q, class P>() {
    add_on_line<Q, P>([](const Q& q, const P& p) {
      return kl_generalized_gamma(generalized_gamma(q), generalized_gamma(p));
    });
  });
  for_pairs(WithPowers{}, GeneralizedGammas{}, []<class Q, class P>() {
    add_on_line<Q, P>([](const Q& q, const P& p) {
      return kl_against_generalized_gamma(q, generalized_gamma(p));
    });
  });
  const auto to_log_normal = []<class Q>() { add_on_line<Q, LogNormal>(kl_against_log_normal<Q>); };
  for_each(GeneralizedGammas{}, to_log_normal);
  for_each(Laws<Pareto, HalfCauchy, Beta, Kumaraswamy, Reciprocal, Uniform>{}, to_log_normal);
  for_each(Laws<Uniform, Reciprocal>{},
           []<class Q>() { add_on_line<Q, Pareto>(kl_against_pareto<Q>); });

  const auto to_normal = []<class Q>() { add_on_line<Q, Normal>(kl_against_normal<Q>); };
  for_each(GeneralizedGammas{}, to_normal);
  for_each(OnUnit{}, to_normal);
  for_each(Laws<Laplace, Gumbel, Logistic, StudentT, LogNormal, FisherSnedecor, Pareto, Triangular,
                Reciprocal>{},
           to_normal);
  add_on_line<ContinuousBernoulli, Exponential>(kl_against_exponential<ContinuousBernoulli>);
  add_on_line<Triangular, Exponential>([](const Triangular& q, const Exponential& p) {
    return or_infinite(q.low() >= 0, kl_against_exponential(q, p));
  });

  for_each(Laws<Beta, ContinuousBernoulli, Kumaraswamy, Triangular, Reciprocal>{},
           []<class Q>() { add_on_line<Q, Uniform>(kl_against_uniform<Q>); });
  for_each(Laws<Beta, Kumaraswamy, Uniform, Triangular, Reciprocal>{}, []<class Q>() {
    add_on_line<Q, ContinuousBernoulli>(kl_against_continuous_bernoulli<Q>);
  });
  const auto to_gumbel = []<class Q>() { add_on_line<Q, Gumbel>(kl_against_gumbel<Q>); };
  for_each(GammaLike{}, to_gumbel);
  for_each(Laws<Normal, Laplace, Logistic, Uniform>{}, to_gumbel);
  for_each(Laws<Normal, Logistic, Exponential, Uniform>{},
           []<class Q>() { add_on_line<Q, Laplace>(kl_against_laplace<Q>); });

  add_on_line<Beta, Beta>(kl_beta_beta);
  add_on_line<Cauchy, Cauchy>(kl_cauchy_cauchy);
  add_on_line<HalfCauchy, HalfCauchy>(kl_half_cauchy_half_cauchy);
  add_on_line<ContinuousBernoulli, ContinuousBernoulli>(kl_continuous_bernoullis);
  add_on_line<Gumbel, Gumbel>(kl_gumbel_gumbel);
  add_on_line<Laplace, Laplace>(kl_laplace_laplace);
  add_on_line<LogNormal, LogNormal>(kl_log_normals);
  add_on_line<Pareto, Pareto>(kl_pareto_pareto);
  add_on_line<Reciprocal, Reciprocal>(kl_reciprocals);
  add_on_line<Uniform, Reciprocal>(kl_uniform_reciprocal);
  add_on_line<Uniform, Beta>(kl_uniform_beta);
  add_on_line<Kumaraswamy, Beta>(kl_kumaraswamy_beta);
  add_on_line<Kumaraswamy, Kumaraswamy>(kl_kumaraswamys);
  add_on_line<VonMises, VonMises>(kl_von_mises);
}

}  // namespace elbo
