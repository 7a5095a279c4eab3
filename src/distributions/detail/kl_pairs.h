// What the closed forms of KL(q || p) are registered with.
#pragma once

#include <ATen/ATen.h>

#include <tuple>

#include "elbo/distributions/kl.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/uniform.h"
#include "elbo/distributions/univariate.h"

namespace elbo::detail {

void register_continuous_kl();
void register_discrete_kl();
void register_multivariate_kl();

template <class... T>
struct Laws {};

/// Calls `f.operator()<Q>()` for each law.
template <class... Q, class F>
void for_each(Laws<Q...>, const F& f) {
  (f.template operator()<Q>(), ...);
}
/// Calls `f.operator()<Q, P>()` for each pair.
template <class... Q, class P, class F>
void for_pairs(Laws<Q...>, P all, const F& f) {
  const auto with = [&]<class A>() {
    for_each(all, [&]<class B>() { f.template operator()<A, B>(); });
  };
  (with.template operator()<Q>(), ...);
}

template <class Self, class Law>
const auto& parameters_of(const Univariate<Self, Law>& law) {
  return law.parameters();
}
inline std::array<at::Tensor, 2> parameters_of(const Normal& law) {
  return {law.loc(), law.scale()};
}

template <class Law>
at::ScalarType dtype_of(const Law& law) {
  return std::apply([](const auto& x, const auto&...) { return x.scalar_type(); },
                    std::tuple_cat(parameters_of(law)));
}

/// The same law in float64.
template <class Law>
Law widened(const Law& law) {
  if (dtype_of(law) == at::kDouble) return law;
  return std::apply([](const auto&... x) { return Law(x.to(at::kDouble)..., Validate::kNo); },
                    std::tuple_cat(parameters_of(law)));
}

/// The common batch shape of q and p, or ShapeError.
inline std::vector<int64_t> batch_shape_of(const Distribution& q, const Distribution& p) {
  return broadcast_shape("kl_divergence: batches of q and p", q.batch_shape(), p.batch_shape());
}
/// x expanded to it.
inline at::Tensor expanded(const at::Tensor& x, const Distribution& q, const Distribution& p) {
  return expanded(x, batch_shape_of(q, p));
}

/// Registers a formula over laws on the line. It is computed in float64 and rounded, and expanded
/// to the batch shape; undefined tensors stay so.
template <class Q, class P, class F>
void add_on_line(const F& formula) {
  register_kl(typeid(Q), typeid(P), [formula](const Distribution& a, const Distribution& b) {
    const auto& q = static_cast<const Q&>(a);
    const auto& p = static_cast<const P&>(b);
    at::Tensor kl = formula(widened(q), widened(p));
    if (!kl.defined()) return kl;
    return expanded(kl.to(c10::promoteTypes(dtype_of(q), dtype_of(p))), q, p);
  });
}

/// Gamma(b) against Gamma(a) as exponential families: log Gamma(b) - log Gamma(a) -
/// (b - a) digamma(a) >= 0, also where both are large.
at::Tensor gamma_excess(const at::Tensor& b, const at::Tensor& a);

/// KL of beta laws.
at::Tensor kl_of_betas(const at::Tensor& q1, const at::Tensor& q0, const at::Tensor& p1,
                       const at::Tensor& p0);

/// `value` where `ok`, else infinity.
at::Tensor or_infinite(const at::Tensor& ok, const at::Tensor& value);

}  // namespace elbo::detail
