#include "elbo/data/split.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <numeric>

#include "data/detail/spillable.h"
#include "elbo/data/minibatch.h"
#include "elbo/error.h"

namespace elbo::data {
namespace {

DataSet split(DataSet set, const std::vector<int64_t>& order, int64_t test_rows) {
  const auto rows = static_cast<int64_t>(order.size());
  if (test_rows < 1 || test_rows >= rows)
    throw ConfigError(fmt::format("{}: {} test rows of {}; expected 1 to {}", set.name, test_rows,
                                  rows, rows - 1));
  const auto middle = order.end() - test_rows;
  set.test = rows_of(set.train, {middle, order.end()});
  set.train = rows_of(set.train, {order.begin(), middle});
  return set;
}

}  // namespace

Part rows_of(const Part& part, const std::vector<int64_t>& rows) {
  const auto index = at::tensor(rows, at::kLong);
  const auto take = [&](const at::Tensor& t) {
    if (!t.defined()) return t;
    auto shape = t.sizes().vec();
    shape[0] = index.size(0);
    auto out = detail::spillable(shape, t.options());
    return at::index_select_out(out, t, 0, index);
  };
  return {take(part.x), take(part.labels), take(part.mask)};
}

DataSet split_at_random(DataSet set, int64_t test_rows, uint64_t seed) {
  const auto order = epoch_order(seed, 0, set.train.rows());
  return split(std::move(set), order, test_rows);
}

DataSet split_last(DataSet set, int64_t test_rows) {
  std::vector<int64_t> order(static_cast<size_t>(set.train.rows()));
  std::iota(order.begin(), order.end(), 0);
  return split(std::move(set), order, test_rows);
}

}  // namespace elbo::data
