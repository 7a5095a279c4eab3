#include <ATen/ATen.h>

#include "elbo/error.h"
#include "elbo/kernels/math.h"

// The plain twins of math.h's functions.
namespace elbo::math {
namespace {
[[noreturn]] void missing(const char* function) {
  throw UnsupportedError(std::string(function) +
                         ": not in ATen; expected tensors on the CPU and first derivatives only");
}
}  // namespace

at::Tensor select(const at::Tensor& condition, const at::Tensor& a, const at::Tensor& b) {
  return at::where(condition, a, b);
}
at::Tensor select(const at::Tensor& condition, const at::Tensor& a, double b) {
  return at::where(condition, a, at::full({}, b, a.options().requires_grad(false)));
}
at::Tensor select(const at::Tensor& condition, double a, const at::Tensor& b) {
  return at::where(condition, at::full({}, a, b.options().requires_grad(false)), b);
}
at::Tensor softplus(const at::Tensor& x) { return -at::log_sigmoid(-x); }
at::Tensor constant(const at::Tensor& x) { return x.detach(); }
at::Tensor with_slope(const at::Tensor& z, const at::Tensor& t) {
  return z.detach() + (t - t.detach());
}
at::Tensor with_log_slope(const at::Tensor& z, const at::Tensor& t) {
  return z.detach() * (t - t.detach()).exp();
}
at::Tensor log1mexp(const at::Tensor& x) {
  const auto near = x > -std::numbers::ln2;  // each branch sees only arguments it can bear
  return at::where(near, (-at::expm1(at::where(near, x, -1.0))).log(),
                   at::log1p(-at::where(near, -1.0, x).exp()));
}
at::Tensor xlog1py(const at::Tensor& x, const at::Tensor& y) { return at::special_xlog1py(x, y); }
at::Tensor trigamma(const at::Tensor& x) { return at::polygamma(1, x); }
at::Tensor log_product(const at::Tensor& a, const at::Tensor& b) { return a.log() + b.log(); }
at::Tensor log_ratio(const at::Tensor& a, const at::Tensor& b) { return ((a - b) / b).log1p(); }
at::Tensor cot_pi(const at::Tensor& u) {
  const double pi = std::numbers::pi;
  const auto low = u<0.25, high = u> 0.75;  // each branch sees only arguments it can bear
  return at::where(low, 1 / at::tan(pi * at::where(low, u, 0.1)),
                   at::where(high, -1 / at::tan(pi * at::where(high, 1 - u, 0.1)),
                             -at::tan(pi * (at::where(low | high, 0.5, u) - 0.5))));
}
at::Tensor lbeta(const at::Tensor& a, const at::Tensor& b) {
  return at::lgamma(a) + at::lgamma(b) - at::lgamma(a + b);
}
at::Tensor ndtr(const at::Tensor& x) { return 0.5 * at::erfc(-x / std::numbers::sqrt2); }
at::Tensor log_ndtr(const at::Tensor& x) {
  const auto lower = x.clamp_max(0), upper = x.clamp_min(0);
  return at::where(
      x < 0, (0.5 * at::special_erfcx(-lower / std::numbers::sqrt2)).log() - 0.5 * lower.square(),
      at::log1p(-0.5 * at::erfc(upper / std::numbers::sqrt2)));
}
at::Tensor ndtri(const at::Tensor& u) { return at::special_ndtri(u); }
at::Tensor log_i0(const at::Tensor& x) { return at::special_i0e(x).log() + x; }
at::Tensor i1_over_i0(const at::Tensor& x) { return at::special_i1e(x) / at::special_i0e(x); }

at::Tensor expint_e1_scaled(const at::Tensor&) { missing("expint_e1_scaled"); }
at::Tensor gamma_draw(const at::Tensor&, const at::Tensor&) { missing("gamma_draw"); }
at::Tensor gamma_p(const at::Tensor&, const at::Tensor&) { missing("gamma_p"); }
at::Tensor gamma_q(const at::Tensor&, const at::Tensor&) { missing("gamma_q"); }
at::Tensor log_gamma_p(const at::Tensor&, const at::Tensor&) { missing("log_gamma_p"); }
at::Tensor log_gamma_q(const at::Tensor&, const at::Tensor&) { missing("log_gamma_q"); }
at::Tensor gamma_p_inverse(const at::Tensor&, const at::Tensor&) { missing("gamma_p_inverse"); }
at::Tensor gamma_q_inverse(const at::Tensor&, const at::Tensor&) { missing("gamma_q_inverse"); }
at::Tensor beta_i(const at::Tensor&, const at::Tensor&, const at::Tensor&) { missing("beta_i"); }
at::Tensor beta_ic(const at::Tensor&, const at::Tensor&, const at::Tensor&) { missing("beta_ic"); }
at::Tensor log_beta_i(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  missing("log_beta_i");
}
at::Tensor log_beta_ic(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  missing("log_beta_ic");
}
at::Tensor beta_i_inverse(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  missing("beta_i_inverse");
}
at::Tensor beta_ic_inverse(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  missing("beta_ic_inverse");
}

}  // namespace elbo::math
