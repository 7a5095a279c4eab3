// Data sets as training sees them: known names, the built-in digits, or files.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace elbo::data {

/// Training or test rows.
struct Part {
  at::Tensor x{};       ///< [N, E...] as stored: uint8 stays uint8, float32 or float64 otherwise
  at::Tensor labels{};  ///< [N] int64; undefined when there are none
  at::Tensor mask{};    ///< [N, E...] bool, true where observed; undefined when nothing is missing

  [[nodiscard]] int64_t rows() const { return x.defined() ? x.size(0) : 0; }
};

struct DataSet {
  std::string name;
  Part train;
  Part test;
  std::vector<int64_t> event_shape;  ///< {28, 28} or {21}
  double scale = 1.0;                ///< multiplies stored values: 1/255 for grey bytes, else 1
  std::string source;                ///< where it came from, for people

  /// True when a row is a picture (two dimensions or more).
  [[nodiscard]] bool images() const { return event_shape.size() >= 2; }
};

struct LoadOptions {
  std::filesystem::path
      test_file{};       ///< the test part, in place of the set's own or a held-out one
  uint64_t seed = 0;     ///< of the digits and of the hold-out
  bool hold_out = true;  ///< give a set without a test part one from its own rows
  std::filesystem::path data_root{};  ///< folder of the known sets; empty: $ELBO_DATA
};

struct KnownSet {
  std::string name;
  std::string description;
  std::vector<std::string>
      files;  ///< under root/name/, each also with .gz; none: made by the program
};

/// The sets that `load` knows by name.
[[nodiscard]] const std::vector<KnownSet>& known_sets();

/// Loads a known set or a file (IDX, NPY, CSV; plain or gzip), or a folder with MNIST's four names.
///
/// NaN entries become 0 with a false mask. A set without a test part holds out about a tenth of its
/// rows: those whose content hashes so, so that the split depends on neither the order nor the
/// other rows, and equal rows stay together.
/// **Throws** NoInputError when nothing is found, DataError when the contents are no data set
/// (labels instead of images, an infinite value, test rows of another shape), as `read_array` else.
[[nodiscard]] DataSet load(const std::string& spec, const LoadOptions& options = {});

/// 1 / 255 for uint8 rows unless every value of both parts is 0 or 1; else 1.
[[nodiscard]] double value_scale(const DataSet& set);

/// Rows times scale, in `dtype` (float32 or float64).
[[nodiscard]] at::Tensor to_float(const at::Tensor& rows, double scale, at::ScalarType dtype);

}  // namespace elbo::data
