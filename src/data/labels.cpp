#include "elbo/data/labels.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <vector>

#include "elbo/data/minibatch.h"
#include "elbo/error.h"

namespace elbo::data {

at::Tensor balanced_labels(const at::Tensor& labels, int64_t count, uint64_t seed) {
  const int64_t rows = labels.size(0);
  if (rows == 0 || labels.min().item<int64_t>() < 0)
    throw DataError("balanced_labels: a negative label, or none; expected 0, 1, 2, ...");
  const int64_t classes = labels.max().item<int64_t>() + 1;
  if (count < classes || count % classes != 0 || count >= rows)
    throw ConfigError(
        fmt::format("labels = {}; expected a multiple of the {} classes, less than the {} rows",
                    count, classes, rows));
  std::vector<int64_t> wanted(static_cast<size_t>(classes), count / classes);
  auto kept = at::full_like(labels, -1);
  const auto* from = labels.data_ptr<int64_t>();
  auto* to = kept.data_ptr<int64_t>();
  for (const int64_t row : epoch_order(seed, 0, rows))
    if (auto& more = wanted[static_cast<size_t>(from[row])]; more > 0) {
      to[row] = from[row];
      --more;
    }
  for (int64_t y = 0; y < classes; ++y)
    if (wanted[static_cast<size_t>(y)] > 0)
      throw ConfigError(fmt::format("labels = {}: class {} has {} rows; expected {}", count, y,
                                    count / classes - wanted[static_cast<size_t>(y)],
                                    count / classes));
  return kept;
}

}  // namespace elbo::data
