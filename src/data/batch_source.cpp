#include "elbo/data/batch_source.h"

#include <ATen/ATen.h>

namespace elbo::data {

Binarize parse_binarize(const std::string& name) {
  if (name == "none") return Binarize::kNone;
  if (name == "threshold") return Binarize::kThreshold;
  if (name == "sample") return Binarize::kSample;
  throw ConfigError("binarize = '" + name + "'; expected none, threshold or sample");
}

BatchSource::BatchSource(const Part& part, double scale, Binarize binarize, at::ScalarType dtype)
    : x_(part.x.flatten(1)),
      mask_(part.mask.defined() ? part.mask.flatten(1) : at::Tensor()),
      scale_(scale),
      binarize_(binarize),
      dtype_(dtype) {}

Batch BatchSource::gather(const at::Tensor& rows, const Noise& noise) const {
  auto x = to_float(x_.index_select(0, rows), scale_, dtype_);
  if (binarize_ == Binarize::kThreshold) x = x.gt(0.5).to(dtype_);
  if (binarize_ == Binarize::kSample) x = noise.site("binarize").rows(rows).bernoulli(x);
  Batch batch{.columns = {{"x", std::move(x)}}, .rows = rows, .total = x_.size(0)};
  if (mask_.defined()) batch.mask = mask_.index_select(0, rows);
  return batch;
}

Batch BatchSource::range(int64_t first, int64_t count, const Noise& noise) const {
  return gather(at::arange(first, first + count, at::kLong), noise);
}

}  // namespace elbo::data
