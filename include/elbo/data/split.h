// Dividing a data set that comes without a test part.
#pragma once

#include <cstdint>
#include <vector>

#include "elbo/data/data_set.h"

namespace elbo::data {

/// The rows with these numbers, in this order: labels and mask with them.
[[nodiscard]] Part rows_of(const Part& part, const std::vector<int64_t>& rows);

/// `set` with `test_rows` of its training rows as the test part: the last of a shuffle keyed by
/// `seed`, as `epoch_order` makes it. **Throws** ConfigError unless 1 <= test_rows < rows.
[[nodiscard]] DataSet split_at_random(DataSet set, int64_t test_rows, uint64_t seed);

/// The same with the last rows in the order of the file. Where rows are frames of a film, a random
/// test row has near twins among the training rows, and one of the last has none.
[[nodiscard]] DataSet split_last(DataSet set, int64_t test_rows);

}  // namespace elbo::data
