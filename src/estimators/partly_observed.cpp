#include "elbo/estimators/partly_observed.h"

#include <ATen/ATen.h>

namespace elbo {
namespace {

/// The batch's rows at `places`, [m] int64.
Batch rows_of(const Batch& batch, const at::Tensor& places) {
  const auto take = [&](const at::Tensor& t) {
    return t.defined() ? t.index_select(0, places) : t;
  };
  Batch out{.columns = {}, .rows = take(batch.rows), .total = batch.total};
  for (const auto& [name, column] : batch.columns) out.columns[name] = take(column);
  out.mask = take(batch.mask);
  out.lengths = take(batch.lengths);
  out.weights = take(batch.weights);
  return out;
}

/// Terms of both parts, as the batch has its rows; 0 for a part that has no such term.
at::Tensor joined(const at::Tensor& first, const at::Tensor& second, const Bound& a, const Bound& b,
                  const at::Tensor& order) {
  if (!first.defined() && !second.defined()) return {};
  const auto or_zero = [](const at::Tensor& term, const Bound& bound) {
    return term.defined() ? term : at::zeros_like(bound.reconstruction);
  };
  return at::cat({or_zero(first, a), or_zero(second, b)}, 1).index_select(1, order);
}

}  // namespace

Bound PartlyObserved::operator()(const Program& model, const Program& guide, const Batch& batch,
                                 const Noise& noise) const {
  if (!batch.has(column)) return estimator(model, guide, batch, noise);
  const auto known = batch[column].ge(0);
  const auto with = known.nonzero().flatten(), without = known.logical_not().nonzero().flatten();
  if (without.numel() == 0) return estimator(model, guide, batch, noise);
  auto lacking = with.numel() == 0 ? batch : rows_of(batch, without);
  lacking.columns.erase(column);
  const Bound b = estimator(model, guide, lacking, noise);
  if (with.numel() == 0) return b;
  const Bound a = estimator(model, guide, rows_of(batch, with), noise);
  if (a.combined.defined() || b.combined.defined() || a.global.defined() || b.global.defined())
    throw SiteError(
        "PartlyObserved: expected an estimator of reconstruction and kl, and no site outside the "
        "plate");
  const auto order = at::cat({with, without}).argsort();
  return {.reconstruction = joined(a.reconstruction, b.reconstruction, a, b, order),
          .kl = joined(a.kl, b.kl, a, b, order),
          .total = batch.total,
          .weights = batch.weights,
          .supervision = joined(a.supervision, b.supervision, a, b, order)};
}

}  // namespace elbo
