// One entry to all readers.
#pragma once

#include <filesystem>

#include "elbo/data/array.h"

namespace elbo::data {

/// Reads IDX, NPY or CSV (.csv, .tsv, .txt), plain or gzip. IDX and NPY are known by their first
/// bytes, CSV by its name.
///
/// **Throws** NoInputError when there is no such file or the folder is empty, DataError when the
/// path is a folder of several files or the contents are not what a format requires, IoError when
/// it can't be read.
[[nodiscard]] Array read_array(const std::filesystem::path& path);

}  // namespace elbo::data
