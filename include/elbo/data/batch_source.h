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
  /// tensors of `part`, not a copy.
  BatchSource(const Part& part, double scale, Binarize binarize, at::ScalarType dtype);

  [[nodiscard]] int64_t rows() const { return x_.size(0); }
  [[nodiscard]] int64_t dim() const { return x_.size(1); }
  /// **RNG** Binarize::kSample draws from site "binarize" of `noise`, a row at a time.
  [[nodiscard]] Batch gather(const at::Tensor& rows, const Noise& noise) const;
  /// Rows first .. first + count - 1.
  [[nodiscard]] Batch range(int64_t first, int64_t count, const Noise& noise) const;

 private:
  at::Tensor x_, mask_;
  double scale_;
  Binarize binarize_;
  at::ScalarType dtype_;
};

}  // namespace elbo::data
