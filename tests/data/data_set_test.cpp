#include "elbo/data/data_set.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "data/files.h"
#include "elbo/data/npy.h"
#include "elbo/error.h"

namespace elbo::data {
namespace {

using namespace testing;

std::filesystem::path write_npy(const std::filesystem::path& path, const Array& array) {
  const auto bytes = encode_npy(array);
  return write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Array rows_of(const std::vector<int64_t>& shape, const std::vector<double>& values) {
  Array array = Array::zeros(shape, DType::kFloat64);
  std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
  return array;
}

// [n, 2]: row i holds i and i * i.
Array squares(int64_t n) {
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i) {
    values.push_back(static_cast<double>(i));
    values.push_back(static_cast<double>(i * i));
  }
  return rows_of({n, 2}, values);
}

void write_mnist(const std::filesystem::path& folder, uint32_t train, uint32_t test) {
  const auto images = [](uint32_t n) {
    std::string body(size_t{n} * 784, '\0');
    for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 % 251);
    return idx_text(0x08, {n, 28, 28}, body);
  };
  const auto labels = [](uint32_t n) {
    std::string body(n, '\0');
    for (size_t i = 0; i < n; ++i) body[i] = static_cast<char>(i % 10);
    return idx_text(0x08, {n}, body);
  };
  write_gzip(folder / "train-images-idx3-ubyte.gz", images(train));
  write_gzip(folder / "train-labels-idx1-ubyte.gz", labels(train));
  write_file(folder / "t10k-images-idx3-ubyte", images(test));  // plain is as good
  write_file(folder / "t10k-labels-idx1-ubyte", labels(test));
}

template <class E>
std::string refusal(const std::string& spec, const LoadOptions& options = {}) {
  return message_of<E>([&] { (void)load(spec, options); });
}

TEST(DataSet, LoadsMnistsFourFiles) {
  ScratchFolder root;
  write_mnist(root / "fashion-mnist", 30, 20);
  const DataSet set = load("fashion-mnist", {.data_root = root.path()});
  EXPECT_EQ(set.name, "fashion-mnist");
  EXPECT_EQ(set.train.x.sizes(), at::IntArrayRef({30, 28, 28}));
  EXPECT_EQ(set.train.x.scalar_type(), at::kByte);
  EXPECT_EQ(set.test.rows(), 20);
  EXPECT_EQ(set.train.labels.scalar_type(), at::kLong);
  EXPECT_EQ(set.test.labels[13].item<int64_t>(), 3);
  EXPECT_EQ(set.event_shape, (std::vector<int64_t>{28, 28}));
  EXPECT_TRUE(set.images());
  EXPECT_FALSE(set.train.mask.defined());
  EXPECT_EQ(set.scale, 1.0 / 255.0);
  EXPECT_EQ(load((root / "fashion-mnist").string()).train.rows(), 30);
  const at::Tensor first = to_float(set.train.x.slice(0, 0, 1), set.scale, at::kDouble);
  EXPECT_EQ(first.flatten()[1].item<double>(), 31.0 * (1.0 / 255.0));
}

TEST(DataSet, SaysWhereItLookedForAKnownSet) {
  ScratchFolder root;
  const std::string message = refusal<NoInputError>("mnist", {.data_root = root.path()});
  EXPECT_TRUE(contains(message, (root / "mnist").string())) << message;
  EXPECT_TRUE(contains(message, "set ELBO_DATA")) << message;
  EXPECT_TRUE(contains(refusal<NoInputError>("no-such-set"), "one of digits, mnist"));
  const std::string empty = refusal<NoInputError>(root.path().string());
  EXPECT_TRUE(contains(empty, "holds no data file")) << empty;
}

TEST(DataSet, RefusesLabelsAsData) {
  ScratchFolder root;
  write_mnist(root / "mnist", 30, 20);
  const auto labels = root / "mnist/train-labels-idx1-ubyte.gz";
  EXPECT_EQ(
      refusal<DataError>(labels.string()),
      labels.string() + ": holds labels (1-D, 30 values), expected images or rows of features");
  std::filesystem::copy_file(root / "mnist/t10k-labels-idx1-ubyte",
                             root / "mnist/train-labels-idx1-ubyte");
  std::filesystem::remove(labels);
  EXPECT_TRUE(contains(refusal<DataError>("mnist", {.data_root = root.path()}),
                       "expected 30 labels, got 20"));
}

TEST(DataSet, DigitsAreSixtyAndTenThousand) {
  const DataSet set = load("digits", {.seed = 3});
  EXPECT_EQ(set.train.x.sizes(), at::IntArrayRef({60000, 28, 28}));
  EXPECT_EQ(set.test.x.sizes(), at::IntArrayRef({10000, 28, 28}));
  EXPECT_EQ(set.scale, 1.0 / 255.0);
  EXPECT_EQ(set.test.labels.eq(4).sum().item<int64_t>(), 1000);
}

TEST(DataSet, BinaryBytesAreNotScaled) {
  ScratchFolder root;
  std::string body(size_t{40} * 784, '\0');
  for (size_t i = 0; i < body.size(); i += 3) body[i] = '\1';
  for (const char* part : {"train", "test"}) {
    write_gzip(
        root / ("binarized-mnist/binarized_mnist_" + std::string(part) + "-images-idx3-ubyte.gz"),
        idx_text(0x08, {40, 28, 28}, body));
  }
  const DataSet set = load("binarized-mnist", {.data_root = root.path()});
  EXPECT_EQ(set.scale, 1.0);
  EXPECT_FALSE(set.train.labels.defined());
}

TEST(DataSet, HoldsOutByContentWhateverTheOrder) {
  ScratchFolder root;
  constexpr int64_t kRows = 5000;
  const DataSet set = load(write_npy(root / "a.npy", squares(kRows)).string());
  EXPECT_EQ(set.train.rows() + set.test.rows(), kRows);
  // Binomial(5000, 0.1) leaves 500 ± 6.11 standard deviations with probability 1e-9.
  EXPECT_NEAR(static_cast<double>(set.test.rows()), 500.0, 6.11 * std::sqrt(450.0));
  EXPECT_EQ(set.event_shape, (std::vector<int64_t>{2}));
  EXPECT_FALSE(set.images());
  EXPECT_EQ(set.scale, 1.0);

  // Reversed and doubled: the same rows are held out, each twice.
  const Array once = squares(kRows);
  std::vector<double> values;
  for (int copy = 0; copy < 2; ++copy) {
    for (int64_t i = kRows; i-- > 0;) {
      values.insert(values.end(), {once.as<double>()[2 * i], once.as<double>()[2 * i + 1]});
    }
  }
  const DataSet twice = load(write_npy(root / "b.npy", rows_of({2 * kRows, 2}, values)).string());
  EXPECT_EQ(twice.test.rows(), 2 * set.test.rows());
  const auto first_column = [](const Part& part) {
    const at::Tensor column = part.x.select(1, 0).contiguous();
    return std::set<double>(column.data_ptr<double>(), column.data_ptr<double>() + column.numel());
  };
  EXPECT_EQ(first_column(twice.test), first_column(set.test));
  EXPECT_NE(first_column(load((root / "a.npy").string(), {.seed = 1}).test),
            first_column(set.test));
}

TEST(DataSet, HoldsOutOfALongFileInTheOrderOfItsRows) {
  ScratchFolder root;
  constexpr int64_t kRows = 5'000'000;  // 76 MiB: mapped, and taken block by block
  const DataSet set = load(write_npy(root / "a.npy", squares(kRows)).string());
  EXPECT_EQ(set.train.rows() + set.test.rows(), kRows);
  EXPECT_NEAR(static_cast<double>(set.test.rows()), 5e5, 6.11 * std::sqrt(4.5e5));
  auto sum = 0.0;
  for (const Part* part : {&set.train, &set.test}) {
    const auto first = part->x.select(1, 0);
    EXPECT_TRUE(first.diff().gt(0).all().item<bool>());
    EXPECT_TRUE(first.square().equal(part->x.select(1, 1)));
    sum += first.sum().item<double>();
  }
  EXPECT_EQ(sum, 0.5 * kRows * (kRows - 1.0)) << "each row once";
}

TEST(DataSet, HoldsOutOfAHandfulOfRows) {
  ScratchFolder root;
  for (const int64_t rows : {2, 3, 5, 9}) {
    const DataSet set = load(write_npy(root / "a.npy", squares(rows)).string());
    EXPECT_GE(set.test.rows(), 1) << rows;
    EXPECT_GE(set.train.rows(), 1) << rows;
  }
  const auto path = write_npy(root / "same.npy", rows_of({3, 1}, {4, 4, 4}));
  EXPECT_TRUE(contains(refusal<DataError>(path.string()), "too few different rows"));
}

TEST(DataSet, KeepsEveryRowWhenNoneIsToBeHeldOut) {
  ScratchFolder root;
  Array images = Array::zeros({30, 4, 4}, DType::kUInt8);
  for (size_t i = 0; i < images.bytes.size(); ++i) images.bytes[i] = std::byte(i % 251);
  const auto path = write_npy(root / "images.npy", images).string();
  const DataSet set = load(path, {.hold_out = false});
  EXPECT_EQ(set.train.rows(), 30);
  EXPECT_EQ(set.test.rows(), 0);
  EXPECT_TRUE(set.images());
  EXPECT_EQ(set.scale, 1.0 / 255);
  EXPECT_LT(load(path).train.rows(), 30);
}

TEST(DataSet, TestFileReplacesTheHoldOut) {
  ScratchFolder root;
  const std::string train = write_npy(root / "train.npy", squares(50)).string();
  const auto test = write_file(root / "test.csv", "a,b\n1,2\n3,4\n");
  const DataSet set = load(train, {.test_file = test});
  EXPECT_EQ(set.train.rows(), 50);
  EXPECT_EQ(set.test.rows(), 2);
  const auto wrong = write_file(root / "wrong.csv", "1,2,3\n");
  EXPECT_TRUE(contains(refusal<DataError>(train, {.test_file = wrong}),
                       "test rows have shape 3, training rows have shape 2"));
  const auto bytes = write_npy(root / "bytes.npy", Array::zeros({4, 2}, DType::kUInt8));
  EXPECT_TRUE(contains(refusal<DataError>(train, {.test_file = bytes}), "uint8"));
}

TEST(DataSet, NaNBecomesAMaskAndInfinityIsRefused) {
  ScratchFolder root;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Array array = squares(100);
  array.as<double>()[2 * 42 + 1] = nan;
  const std::string other = write_npy(root / "test.npy", squares(10)).string();
  const DataSet set = load(write_npy(root / "a.npy", array).string(), {.test_file = other});
  ASSERT_TRUE(set.train.mask.defined());
  EXPECT_FALSE(set.test.mask.defined());
  EXPECT_EQ(set.train.mask.scalar_type(), at::kBool);
  EXPECT_EQ(set.train.mask.logical_not().sum().item<int64_t>(), 1);
  EXPECT_FALSE(set.train.mask[42][1].item<bool>());
  EXPECT_EQ(set.train.x[42][1].item<double>(), 0.0);
  const DataSet split = load((root / "a.npy").string());  // the mask follows its rows
  EXPECT_EQ(split.train.mask.size(0), split.train.rows());
  array.as<double>()[2 * 17] = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(contains(refusal<DataError>(write_npy(root / "b.npy", array).string()),
                       "row 18 of the array holds an infinite value"));
}

TEST(DataSet, LooksForThemInEveryBlockOfALongFile) {
  ScratchFolder root;
  constexpr int64_t kRows = 600000, kLate = 599990;  // 1.2 million numbers: two blocks
  Array array = squares(kRows);
  const std::string other = write_npy(root / "test.npy", squares(10)).string();
  array.as<double>()[2 * kLate] = std::numeric_limits<double>::quiet_NaN();
  const DataSet set = load(write_npy(root / "a.npy", array).string(), {.test_file = other});
  ASSERT_TRUE(set.train.mask.defined());
  EXPECT_EQ(set.train.mask.logical_not().sum().item<int64_t>(), 1);
  EXPECT_FALSE(set.train.mask[kLate][0].item<bool>());
  EXPECT_EQ(set.train.x[kLate][0].item<double>(), 0.0);
  array.as<double>()[2 * kLate + 1] = -std::numeric_limits<double>::infinity();
  EXPECT_TRUE(contains(refusal<DataError>(write_npy(root / "b.npy", array).string()),
                       "row 599991 of the array holds an infinite value"));
}

TEST(DataSet, OtherShapesAndTypes) {
  ScratchFolder root;
  const std::vector<double> values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const DataSet column = load(write_npy(root / "c.npy", rows_of({12}, values)).string());
  EXPECT_EQ(column.event_shape, (std::vector<int64_t>{1}));
  Array whole = Array::zeros({20, 3}, DType::kInt32);
  for (int i = 0; i < 60; ++i) whole.as<int32_t>()[i] = i;
  EXPECT_EQ(load(write_npy(root / "i.npy", whole).string()).train.x.scalar_type(), at::kDouble);
  const auto empty = write_npy(root / "e.npy", Array::zeros({0, 3}, DType::kFloat32));
  EXPECT_TRUE(contains(refusal<DataError>(empty.string()), "holds no rows"));
  const auto scalar = write_npy(root / "s.npy", Array::zeros({}, DType::kFloat32));
  EXPECT_TRUE(contains(refusal<DataError>(scalar.string()), "single value"));
}

TEST(DataSet, FreyFacesMayBeFlat) {
  ScratchFolder root;
  Array frames = Array::zeros({50, 560}, DType::kUInt8);
  for (size_t i = 0; i < frames.bytes.size(); ++i) frames.bytes[i] = static_cast<std::byte>(i / 7);
  std::filesystem::create_directories(root / "frey-faces");
  write_npy(root / "frey-faces/freyfaces.npy", frames);
  const DataSet set = load("frey-faces", {.data_root = root.path()});
  EXPECT_EQ(set.event_shape, (std::vector<int64_t>{28, 20}));
}

TEST(DataSet, KnownSetsAreListed) {
  std::set<std::string> names;
  for (const KnownSet& known : known_sets()) names.insert(known.name);
  EXPECT_EQ(names, (std::set<std::string>{"digits", "mnist", "fashion-mnist", "binarized-mnist",
                                          "frey-faces"}));
}

// The real sets, where somebody has them.
class RealData : public ::testing::Test {
 protected:
  static DataSet load_or_skip(const std::string& name) {
    try {
      return load(name);
    } catch (const NoInputError&) {
      return {};
    }
  }
};

TEST_F(RealData, Mnist) {
  const DataSet set = load_or_skip("mnist");
  if (set.train.rows() == 0) GTEST_SKIP() << "set ELBO_DATA to the folder that holds mnist/";
  EXPECT_EQ(set.train.x.sizes(), at::IntArrayRef({60000, 28, 28}));
  EXPECT_EQ(set.test.rows(), 10000);
  EXPECT_EQ(set.train.labels[0].item<int64_t>(), 5);
  EXPECT_NEAR(set.train.x.to(at::kDouble).mean().item<double>(), 33.3184, 1e-3);
}

TEST_F(RealData, BinarizedMnist) {
  const DataSet set = load_or_skip("binarized-mnist");
  if (set.train.rows() == 0) GTEST_SKIP() << "set ELBO_DATA to the folder of binarized-mnist/";
  EXPECT_EQ(set.train.rows(), 50000);
  EXPECT_EQ(set.test.rows(), 10000);
  EXPECT_EQ(set.scale, 1.0);
}

TEST_F(RealData, FreyFaces) {
  const DataSet set = load_or_skip("frey-faces");
  if (set.train.rows() == 0) GTEST_SKIP() << "set ELBO_DATA to the folder that holds frey-faces/";
  EXPECT_EQ(set.train.rows() + set.test.rows(), 1965);
  EXPECT_EQ(set.event_shape, (std::vector<int64_t>{28, 20}));
  EXPECT_EQ(set.scale, 1.0 / 255.0);
}

}  // namespace
}  // namespace elbo::data
