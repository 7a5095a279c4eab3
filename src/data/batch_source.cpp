#include "elbo/data/batch_source.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/detail/simd.h"

namespace elbo::data {
namespace {

void check_rows(const at::Tensor& rows, int64_t total) {
  const auto ids = rows.contiguous();
  const int64_t* id = ids.data_ptr<int64_t>();
  for (int64_t i = 0; i < ids.numel(); ++i)
    if (id[i] < 0 || id[i] >= total)
      throw DomainError("BatchSource: row " + std::to_string(id[i]) + "; expected one of 0 .. " +
                        std::to_string(total - 1));
}

/// Asks for memory that will soon be read.
template <class T>
void fetch(const T* x, int64_t n) {
  constexpr int64_t kLine = 64;
  const auto* bytes = reinterpret_cast<const char*>(x);
  for (int64_t at = 0; at < n * static_cast<int64_t>(sizeof(T)); at += kLine)
    __builtin_prefetch(bytes + at);
}

/// Numbers times `by`; with `threshold`, whether they are then above 1/2.
template <class From, class To>
struct Convert {
  static void run(const From* __restrict from, int64_t n, To by, bool threshold,
                  To* __restrict to) {
    if (threshold)
      for (int64_t c = 0; c < n; ++c) to[c] = static_cast<To>(from[c]) * by > To(0.5);
    else
      for (int64_t c = 0; c < n; ++c) to[c] = static_cast<To>(from[c]) * by;
  }
};

/// Rows of x, `columns` numbers each, times scale; with `threshold`, whether they are above 1/2.
template <class From, class To>
void gather_rows(const at::Tensor& x, const at::Tensor& rows, double scale, bool threshold,
                 const at::Tensor& out) {
  const From* from = x.data_ptr<From>();
  const int64_t* index = rows.data_ptr<int64_t>();
  To* to = out.data_ptr<To>();
  const int64_t columns = x.size(1);
  const auto by = static_cast<To>(scale);
  static const auto convert =
      simd::Compiled<Convert<From, To>>::template for_machine<const From*, int64_t, To, bool,
                                                              To*>();
  at::parallel_for(0, rows.numel(), 1 + (1 << 15) / (1 + columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      // Rows lie anywhere, so that no processor guesses the next but one.
      if (r + 2 < end) fetch(from + index[r + 2] * columns, columns);
      convert(from + index[r] * columns, columns, by, threshold, to + r * columns);
    }
  });
}

/// [rows, columns] in the memory of `given_up`, where that is large enough, or in new.
at::Tensor room_for(int64_t rows, int64_t columns, const at::TensorOptions& options,
                    const at::Tensor& given_up) {
  const auto bytes = static_cast<size_t>(rows * columns) * options.dtype().itemsize();
  const bool is_enough = given_up.defined() && given_up.dtype() == options.dtype() &&
                         given_up.is_cpu() && given_up.storage_offset() == 0 &&
                         given_up.storage().nbytes() >= bytes;
  if (!is_enough) return at::empty({rows, columns}, options);
  return at::empty({0}, options).set_(given_up.storage(), 0, {rows, columns}, {columns, 1});
}

/// In one pass; undefined where it has no case for the tensors.
at::Tensor gathered(const at::Tensor& x, const at::Tensor& rows, double scale, bool threshold,
                    at::ScalarType dtype, const at::Tensor& given_up) {
  if (!x.is_cpu() || !x.is_contiguous() || !rows.is_contiguous()) return {};
  const auto out = room_for(rows.numel(), x.size(1), x.options().dtype(dtype), given_up);
  const auto with = [&](auto to) {
    using To = decltype(to);
    if (x.scalar_type() == at::kByte)
      gather_rows<uint8_t, To>(x, rows, scale, threshold, out);
    else if (x.scalar_type() == dtype)
      gather_rows<To, To>(x, rows, scale, threshold, out);
    else
      return at::Tensor();
    return out;
  };
  if (dtype == at::kFloat) return with(float());
  if (dtype == at::kDouble) return with(double());
  return {};
}

}  // namespace

Binarize parse_binarize(const std::string& name) {
  if (name == "none") return Binarize::kNone;
  if (name == "threshold") return Binarize::kThreshold;
  if (name == "sample") return Binarize::kSample;
  throw ConfigError("binarize = '" + name + "'; expected none, threshold or sample");
}

BatchSource::BatchSource(const Part& part, double scale, Binarize binarize,
                         const at::TensorOptions& options)
    : x_(part.x.flatten(1).to(options.device())),
      mask_(part.mask.defined() ? part.mask.flatten(1).to(options.device()) : at::Tensor()),
      scale_(scale),
      binarize_(binarize),
      dtype_(options.dtype().toScalarType()) {}

BatchSource BatchSource::with_labels(const at::Tensor& labels, int64_t per_batch) const {
  BatchSource out = *this;
  out.labels_ = labels;
  out.labelled_ = labels.ge(0).nonzero().flatten();
  out.stream_ = labels.lt(0).nonzero().flatten();
  if (labels.size(0) != x_.size(0) || out.labelled_.numel() == 0 || out.stream_.numel() == 0)
    throw ConfigError("BatchSource: " + std::to_string(out.labelled_.numel()) + " labels for " +
                      std::to_string(x_.size(0)) + " rows; expected some, and not for all rows");
  if (per_batch < 1)
    throw ConfigError("BatchSource: per_batch = " + std::to_string(per_batch) + "; expected >= 1");
  out.labelled_per_batch_ = std::min(per_batch, out.labelled_.numel());
  return out;
}

Batch BatchSource::gather(const at::Tensor& rows, const Noise& noise, const Batch& given_up) const {
  if (!labels_.defined()) return gather_all(rows, noise, given_up);
  check_rows(rows, stream_.size(0));
  const auto shuffled = noise.site("labelled").uniform(labelled_.sizes(), at::kDouble).argsort();
  const auto chosen = shuffled.narrow(0, 0, labelled_per_batch_);
  const auto all = at::cat({stream_.index_select(0, rows), labelled_.index_select(0, chosen)});
  Batch batch = gather_all(all, noise, given_up);
  batch.columns["y"] = labels_.index_select(0, all).to(batch.options().device());
  // Rows of the data that one of the batch stands for, of the M/N that it would by itself.
  const auto weight = [&](const at::Tensor& part, int64_t count) {
    return at::full({count},
                    static_cast<double>(part.size(0)) / static_cast<double>(count) *
                        static_cast<double>(all.size(0)) / static_cast<double>(x_.size(0)),
                    batch.options());
  };
  batch.weights = at::cat({weight(stream_, rows.size(0)), weight(labelled_, labelled_per_batch_)});
  return batch;
}

Batch BatchSource::gather_all(const at::Tensor& rows, const Noise& noise,
                              const Batch& given_up) const {
  const bool threshold = binarize_ == Binarize::kThreshold;
  check_rows(rows, x_.size(0));
  auto x = gathered(x_, rows, scale_, threshold, dtype_,
                    given_up.has("x") ? given_up["x"] : at::Tensor());
  if (!x.defined()) {
    x = to_float(x_.index_select(0, rows.to(x_.device())), scale_, dtype_);
    if (threshold) x = x.gt(0.5).to(dtype_);
  }
  if (binarize_ == Binarize::kSample) {
    const auto draws = noise.site("binarize").rows(rows);
    if (x.is_cpu())
      draws.bernoulli_in_place(x);
    else
      x = draws.bernoulli(x);
  }
  Batch batch{.columns = {{"x", std::move(x)}}, .rows = rows, .total = x_.size(0)};
  if (mask_.defined()) batch.mask = mask_.index_select(0, rows.to(mask_.device()));
  return batch;
}

Batch BatchSource::range(int64_t first, int64_t count, const Noise& noise) const {
  return gather(at::arange(first, first + count, at::kLong), noise);
}

}  // namespace elbo::data
