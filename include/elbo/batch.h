// A minibatch: named columns and where its rows came from.
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>
#include <map>
#include <string>

#include "elbo/error.h"

namespace elbo {

/// Rows of a data set as the programs see them. dtype and device of everything computed from it
/// come from `options()`.
struct Batch {
  std::map<std::string, at::Tensor> columns;  ///< each [M, E...]
  at::Tensor rows;                            ///< [M] int64: indices in the data set
  int64_t total = 0;                          ///< N, the size of the data set
  at::Tensor mask{};     ///< [M, E...] bool, true where observed; undefined when all is
  at::Tensor lengths{};  ///< [M] int64 for sequences; undefined otherwise
  /// [M], where rows were drawn from parts of the data apart (stratified): N/M times it is how many
  /// rows of the data each stands for. Undefined: 1 for all.
  at::Tensor weights{};

  /// Column `name`; throws SiteError when there is none.
  const at::Tensor& operator[](const std::string& name) const {
    const auto it = columns.find(name);
    if (it == columns.end()) throw SiteError("Batch: no column '" + name + "'");
    return it->second;
  }
  /// dtype and device of column `x`.
  at::TensorOptions options() const { return (*this)["x"].options(); }
  bool has(const std::string& name) const { return columns.find(name) != columns.end(); }
  int64_t size() const { return rows.size(0); }
};

/// Column "x" with NaN at its missing entries, as models that handle them take it.
inline at::Tensor with_gaps(const Batch& batch) {
  const auto& x = batch["x"];
  if (!batch.mask.defined()) return x;
  return x.masked_fill(batch.mask.logical_not(), std::numeric_limits<double>::quiet_NaN());
}

}  // namespace elbo
