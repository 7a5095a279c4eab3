// From stored rows to the batches that programs see.
#pragma once

#include <string>

#include "elbo/batch.h"
#include "elbo/data/data_set.h"
#include "elbo/data/minibatch.h"
#include "elbo/kernels/noise.h"

namespace elbo::data {

/// "none", "threshold" or "sample"; ConfigError otherwise.
[[nodiscard]] Binarize parse_binarize(const std::string& name);

/// Gathers rows of a part of a data set as column "x" [M, D]: scaled, binarised and converted.
class BatchSource {
 public:
  /// `scale` multiplies stored values (1/255 for images of bytes). Keeps a reference to the
  /// tensors of `part`, not a copy, but where `options` name another device: it then keeps one
  /// there. Batches have their dtype and device; `rows` stay on the CPU, where noise is drawn.
  BatchSource(const Part& part, double scale, Binarize binarize, const at::TensorOptions& options);

  /// The same rows, where only some labels are known: `labels` is int64 [N], -1 where unknown. An
  /// epoch then goes over the rows without a label, and `per_batch` of the others (or all, where
  /// they are fewer) join each minibatch, drawn anew without replacement. Batches have the column
  /// "y", int64 [M], and weights: each part stands for its rows of the data.
  /// **Throws** ConfigError where either part is empty, or per_batch < 1.
  [[nodiscard]] BatchSource with_labels(const at::Tensor& labels, int64_t per_batch) const;

  /// Those of an epoch.
  [[nodiscard]] int64_t rows() const { return labels_.defined() ? stream_.size(0) : x_.size(0); }
  /// Those with labels, 0 where all rows are alike.
  [[nodiscard]] int64_t labelled_rows() const { return labels_.defined() ? labelled_.size(0) : 0; }
  [[nodiscard]] int64_t dim() const { return x_.size(1); }
  /// **RNG** Binarize::kSample draws from site "binarize" of `noise`, a row at a time; which rows
  /// with labels join, from site "labelled".
  /// An earlier batch may be given up: the memory of its "x" is written again where it is large
  /// enough, so that batches lie in one place (`PlannedStep` has nothing to copy then).
  [[nodiscard]] Batch gather(const at::Tensor& rows, const Noise& noise,
                             const Batch& given_up = {}) const;
  /// Rows first .. first + count - 1.
  [[nodiscard]] Batch range(int64_t first, int64_t count, const Noise& noise) const;

 private:
  [[nodiscard]] Batch gather_all(const at::Tensor& rows, const Noise& noise,
                                 const Batch& given_up) const;

  at::Tensor x_, mask_;
  at::Tensor labels_, stream_, labelled_;  // int64 [N]; and rows of either kind
  int64_t labelled_per_batch_ = 0;
  double scale_;
  Binarize binarize_;
  at::ScalarType dtype_;
};

}  // namespace elbo::data
