#include "elbo/data/data_set.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "elbo/data/digits.h"
#include "elbo/data/read.h"
#include "elbo/data/split.h"
#include "elbo/data/tensor.h"

namespace elbo::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDigitsTrain = 60000;
constexpr int64_t kDigitsTest = 10000;
constexpr uint64_t kHoldOutOneIn = 10;

const char* const kTrainImages = "train-images-idx3-ubyte";
const char* const kTrainLabels = "train-labels-idx1-ubyte";
const char* const kTestImages = "t10k-images-idx3-ubyte";
const char* const kTestLabels = "t10k-labels-idx1-ubyte";

at::Tensor to_labels(Array&& array, int64_t rows, const std::string& name) {
  if (array.shape.size() != 1 || array.shape[0] != rows || array.dtype == DType::kFloat32 ||
      array.dtype == DType::kFloat64) {
    throw DataError(name + ": expected " + std::to_string(rows) + " labels, got " +
                    shape_string(array.shape) + " " + std::string(name_of(array.dtype)));
  }
  return to_tensor(std::move(array)).to(at::kLong);
}

Part to_part(Array&& array, const std::string& name) {
  const std::vector<int64_t> shape = array.shape;
  if (shape.empty()) {
    throw DataError(name + ": holds a single value, expected images or rows of features");
  }
  if (shape.size() == 1 && array.dtype == DType::kUInt8) {
    throw DataError(name + ": holds labels (1-D, " + std::to_string(shape[0]) +
                    " values), expected images or rows of features");
  }
  if (array.numel() == 0) {
    throw DataError(name + ": holds no rows (shape " + shape_string(shape) + ")");
  }
  const bool whole = array.dtype == DType::kInt32 || array.dtype == DType::kInt64;
  Part part;
  part.x = to_tensor(std::move(array));
  if (whole) part.x = part.x.to(at::kDouble);
  if (shape.size() == 1) part.x = part.x.unsqueeze(1);
  if (!part.x.is_floating_point()) return part;

  // By blocks of rows: a mapped file may be larger than memory.
  constexpr int64_t kBlock = 1 << 20;  // numbers
  const int64_t rows = part.x.size(0);
  const int64_t step = std::max<int64_t>(1, kBlock * rows / part.x.numel());
  for (int64_t first = 0; first < rows; first += step) {
    auto x = part.x.narrow(0, first, std::min(step, rows - first));
    const at::Tensor infinite = x.isinf();
    if (infinite.any().item<bool>()) {
      const int64_t row = first + infinite.flatten(1).any(1).nonzero()[0].item<int64_t>();
      throw DataError(name + ": row " + std::to_string(row + 1) +
                      " of the array holds an infinite value; expected finite numbers, or NaN "
                      "where missing");
    }
    const at::Tensor missing = x.isnan();
    if (!missing.any().item<bool>()) continue;
    if (!part.mask.defined())
      part.mask = at::ones(part.x.sizes(), part.x.options().dtype(at::kBool));
    part.mask.narrow(0, first, x.size(0)).masked_fill_(missing, false);
    x.masked_fill_(missing, 0.0);
  }
  return part;
}

Part read_part(const fs::path& path) { return to_part(read_array(path), path.string()); }

// The file or its .gz in the folder; empty when neither is there.
fs::path find_file(const fs::path& folder, const std::string& name) {
  for (const char* suffix : {".gz", ""}) {
    const fs::path path = folder / (name + suffix);
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) return path;
  }
  return {};
}

fs::path require_file(const fs::path& folder, const std::string& file, const std::string& set) {
  const fs::path path = find_file(folder, file);
  if (path.empty()) {
    throw NoInputError(set + ": found neither " + file + ".gz nor " + file + " in " +
                       folder.string() + "; set ELBO_DATA to the folder that holds " + set + "/");
  }
  return path;
}

DataSet load_mnist_folder(const std::string& name, const fs::path& folder) {
  DataSet set;
  set.name = name;
  set.source = folder.string();
  const auto load_part = [&](const char* images, const char* labels) {
    const fs::path image_path = require_file(folder, images, name);
    const fs::path label_path = require_file(folder, labels, name);
    Part part = read_part(image_path);
    part.labels = to_labels(read_array(label_path), part.rows(), label_path.string());
    return part;
  };
  set.train = load_part(kTrainImages, kTrainLabels);
  set.test = load_part(kTestImages, kTestLabels);
  return set;
}

DataSet load_binarized_mnist(const fs::path& folder) {
  const auto load_part = [&](const std::string& part_name) {
    const fs::path path = require_file(
        folder, "binarized_mnist_" + part_name + "-images-idx3-ubyte", "binarized-mnist");
    Part part = read_part(path);
    if (part.x.max().item<double>() > 1.0 || part.x.min().item<double>() < 0.0) {
      throw DataError(path.string() + ": expected values 0 and 1 only");
    }
    return part;
  };
  DataSet set;
  set.name = "binarized-mnist";
  set.source = folder.string() + " (train and test; the validation part is left alone)";
  set.train = load_part("train");
  set.test = load_part("test");
  return set;
}

DataSet load_frey_faces(const fs::path& folder) {
  const fs::path path = require_file(folder, "freyfaces.npy", "frey-faces");
  DataSet set;
  set.name = "frey-faces";
  set.source = path.string();
  set.train = read_part(path);
  if (set.train.x.dim() == 2 && set.train.x.size(1) == 560) {
    set.train.x = set.train.x.view({-1, 28, 20});
  }
  if (set.train.x.sizes().slice(1) != at::IntArrayRef({28, 20})) {
    throw DataError(path.string() + ": expected frames of 28 x 20, got " +
                    shape_string(set.train.x.sizes().slice(1).vec()));
  }
  return set;
}

DataSet make_digits_set(uint64_t seed) {
  DataSet set;
  set.name = "digits";
  set.source = "drawn by the program, seed " + std::to_string(seed);
  const auto make_part = [&](int64_t first, int64_t count) {
    Labelled digits = make_digits(seed, first, count);
    Part part;
    part.x = to_tensor(std::move(digits.images));
    part.labels = to_labels(std::move(digits.labels), count, "digits");
    return part;
  };
  set.train = make_part(0, kDigitsTrain);
  set.test = make_part(kDigitsTrain, kDigitsTest);
  return set;
}

uint64_t mix(uint64_t h) {  // every bit of the input reaches every bit of the output
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}

uint64_t hash_bytes(const void* data, size_t size, uint64_t h) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (; size > 0;) {
    uint64_t word = 0;
    const size_t count = std::min<size_t>(size, 8);
    std::memcpy(&word, bytes, count);
    h = mix(h ^ word) + 0x9e3779b97f4a7c15ULL;
    bytes += count;
    size -= count;
  }
  return h;
}

// Moves about a tenth of the training rows into the test part, by their content.
void hold_out(DataSet& set, uint64_t seed) {
  const at::Tensor x = set.train.x.contiguous();
  const int64_t rows = x.size(0);
  const size_t row_bytes = x.nbytes() / static_cast<size_t>(rows);
  const at::Tensor mask = set.train.mask.defined() ? set.train.mask.contiguous() : at::Tensor();
  const int64_t row_items = x.numel() / rows;
  const auto hash = [&](int64_t row) {
    uint64_t h =
        hash_bytes(static_cast<const char*>(x.data_ptr()) + static_cast<size_t>(row) * row_bytes,
                   row_bytes, mix(seed + 1));
    if (mask.defined()) {  // a missing value is not an observed zero
      h = hash_bytes(mask.data_ptr<bool>() + row * row_items, static_cast<size_t>(row_items), h);
    }
    return h;
  };
  std::vector<int64_t> train, test;
  const auto divide = [&](const auto& is_held) {
    train.clear();
    for (int64_t i = 0; i < rows; ++i) (is_held(hash(i)) ? test : train).push_back(i);
  };
  uint64_t smallest = std::numeric_limits<uint64_t>::max();
  divide([&](uint64_t h) {
    smallest = std::min(smallest, h);
    return h % kHoldOutOneIn == 0;
  });
  // In a handful of rows none may fall in the tenth: then the one that hashes lowest is it.
  if (test.empty()) divide([&](uint64_t h) { return h == smallest; });
  if (train.empty()) {
    throw DataError(set.source + ": has too few different rows (" + std::to_string(rows) +
                    " in all) to hold some out; give a test file");
  }
  set.test = rows_of(set.train, test);
  set.train = rows_of(set.train, train);
}

void check_test_part(DataSet& set, const std::string& test_name) {
  if (set.test.rows() == 0) return;
  if (set.test.x.sizes().slice(1) != set.train.x.sizes().slice(1)) {
    throw DataError(
        test_name + ": test rows have shape " + shape_string(set.test.x.sizes().slice(1).vec()) +
        ", training rows have shape " + shape_string(set.train.x.sizes().slice(1).vec()));
  }
  const at::ScalarType type = set.train.x.scalar_type();
  if (set.test.x.scalar_type() == type) return;
  if (type == at::kByte || set.test.x.scalar_type() == at::kByte) {
    throw DataError(test_name +
                    ": one of the training and the test rows is uint8 and the other is "
                    "floating point; expected both of one kind");
  }
  set.test.x = set.test.x.to(type);
}

std::string known_names() {
  std::string names;
  for (const KnownSet& set : known_sets()) names += (names.empty() ? "" : ", ") + set.name;
  return names;
}

fs::path folder_of(const KnownSet& known, const LoadOptions& options) {
  fs::path root = options.data_root;
  if (root.empty()) {
    const char* from_environment = std::getenv("ELBO_DATA");
    if (from_environment == nullptr || *from_environment == '\0') {
      throw NoInputError(known.name + ": ELBO_DATA is not set; set it to the folder that holds " +
                         known.name + "/" + known.files.front() + "[.gz]");
    }
    root = from_environment;
  }
  return root / known.name;
}

DataSet load_known(const KnownSet& known, const LoadOptions& options) {
  if (known.name == "digits") return make_digits_set(options.seed);
  const fs::path folder = folder_of(known, options);
  if (known.name == "binarized-mnist") return load_binarized_mnist(folder);
  if (known.name == "frey-faces") return load_frey_faces(folder);
  return load_mnist_folder(known.name, folder);
}

DataSet load_path(const std::string& spec) {
  const fs::path path(spec);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    throw NoInputError(spec + ": no such data set or file; expected a path or one of " +
                       known_names());
  }
  if (fs::is_directory(path, ignored) && !find_file(path, kTrainImages).empty()) {
    return load_mnist_folder(path.filename().string(), path);
  }
  DataSet set;
  set.name = path.filename().string();
  set.source = spec;
  set.train = read_part(path);
  return set;
}

}  // namespace

const std::vector<KnownSet>& known_sets() {
  static const std::vector<std::string> mnist_files = {kTrainImages, kTrainLabels, kTestImages,
                                                       kTestLabels};
  static const std::vector<KnownSet> sets = {
      {"digits", "60000 + 10000 handwritten-looking digits, 28 x 28, drawn by the program", {}},
      {"mnist", "60000 + 10000 handwritten digits, 28 x 28 grey", mnist_files},
      {"fashion-mnist", "60000 + 10000 pictures of clothing, 28 x 28 grey", mnist_files},
      {"binarized-mnist",
       "50000 + 10000 digits, 28 x 28, fixed values 0 and 1, no labels",
       {"binarized_mnist_train-images-idx3-ubyte", "binarized_mnist_test-images-idx3-ubyte"}},
      {"frey-faces", "1965 video frames of one face, 28 x 20 grey", {"freyfaces.npy"}},
  };
  return sets;
}

DataSet load(const std::string& spec, const LoadOptions& options) {
  const auto& sets = known_sets();
  const auto known =
      std::find_if(sets.begin(), sets.end(), [&](const KnownSet& set) { return set.name == spec; });
  DataSet set = known != sets.end() ? load_known(*known, options) : load_path(spec);
  std::string test_name = set.source;
  if (!options.test_file.empty()) {
    test_name = options.test_file.string();
    set.test = read_part(options.test_file);
  } else if (set.test.rows() == 0 && options.hold_out) {
    hold_out(set, options.seed);
  }
  check_test_part(set, test_name);
  set.event_shape = set.train.x.sizes().slice(1).vec();
  set.scale = value_scale(set);
  return set;
}

double value_scale(const DataSet& set) {
  if (set.train.x.scalar_type() != at::kByte) return 1.0;
  int64_t largest = 0;
  for (const Part* part : {&set.train, &set.test}) {
    if (part->rows() > 0) largest = std::max(largest, part->x.max().item<int64_t>());
  }
  return largest <= 1 ? 1.0 : 1.0 / 255.0;
}

at::Tensor to_float(const at::Tensor& rows, double scale, at::ScalarType dtype) {
  const at::Tensor values = rows.to(dtype);
  return scale == 1.0 ? values : values * scale;
}

}  // namespace elbo::data
