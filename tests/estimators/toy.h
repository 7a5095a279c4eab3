// Toy G: p(z) = N(0, 1), p(x | z) = N(z, 1), q(z) = N(m, s^2). The posterior is N(x / 2, 1 / 2).
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "elbo/distributions.h"
#include "elbo/program.h"

namespace elbo::testing {

inline at::Tensor one() { return at::ones({}, at::kDouble); }

/// x as column "x" of rows 0 .. M-1 of `total`, which is M unless given.
inline Batch batch_of(const at::Tensor& x, int64_t total = 0) {
  Batch batch;
  batch.columns["x"] = x;
  batch.rows = at::arange(x.size(0), at::kLong);
  batch.total = total == 0 ? x.size(0) : total;
  return batch;
}

inline Batch subset(const Batch& batch, const at::Tensor& rows) {
  Batch out;
  for (const auto& [name, column] : batch.columns) out.columns[name] = column.index_select(0, rows);
  out.rows = batch.rows.index_select(0, rows);
  out.total = batch.total;
  return out;
}

inline void toy_model(Trace& trace, const Batch& batch) {
  const auto plate = trace.plate("rows", batch.rows, batch.total);
  const auto z = trace.sample("z", Normal::standard({}, at::kDouble));
  trace.observe("x", Normal(z, one()), batch["x"]);
}

/// m and s scalars, or [M]: of their own for each row.
inline Program toy_guide(at::Tensor m, at::Tensor s) {
  return [m, s](Trace& trace, const Batch& batch) {
    const auto plate = trace.plate("rows", batch.rows, batch.total);
    (void)trace.sample("z", Normal(m, s));
  };
}

inline double log_normal(double x, double mean, double variance) {
  return -0.5 * (std::log(2 * std::numbers::pi * variance) + (x - mean) * (x - mean) / variance);
}

/// The bound of G, by hand.
inline double toy_elbo(double x, double m, double s) {
  const double reconstruction = -0.5 * (std::log(2 * std::numbers::pi) + (x - m) * (x - m) + s * s);
  return reconstruction - 0.5 * (s * s + m * m - 1 - 2 * std::log(s));
}

inline double toy_evidence(double x) { return log_normal(x, 0, 2); }

}  // namespace elbo::testing
