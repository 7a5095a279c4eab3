// Tables of numbers as text.
#pragma once

#include <string_view>

#include "elbo/data/array.h"

namespace elbo::data {

/// Reads numbers separated by commas, semicolons or tabs into float64 [rows, columns].
///
/// The first row is taken as column names, and skipped, when none of its fields is a number. The
/// separator is the one that occurs in the first row: semicolon, else tab, else comma. An empty
/// field, `nan` and `NA` are missing values and become NaN. Blank lines are skipped. Fields may
/// stand in double quotes.
/// **Throws** DataError, beginning with `name` and the row, for a field that is no finite number
/// and for rows of different length; a row is named by its line in the file, from 1.
[[nodiscard]] Array parse_csv(std::string_view text, std::string_view name);

}  // namespace elbo::data
