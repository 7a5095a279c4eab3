#include "elbo/data/read.h"

#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/data/npy.h"

namespace elbo::data {
namespace {

using namespace testing;

TEST(Read, KnowsTheFormats) {
  ScratchFolder folder;
  const std::string idx = idx_text(0x08, {2, 2}, "abcd");
  EXPECT_EQ(read_array(write_file(folder / "x-idx2-ubyte", idx)).numel(), 4);
  EXPECT_EQ(read_array(write_gzip(folder / "any.gz", idx)).numel(), 4);
  const auto npy = encode_npy(Array::zeros({3, 2}, DType::kFloat32));
  const std::string_view npy_text(reinterpret_cast<const char*>(npy.data()), npy.size());
  EXPECT_EQ(read_array(write_file(folder / "a.npy", npy_text)).dtype, DType::kFloat32);
  EXPECT_EQ(read_array(write_gzip(folder / "a.npy.gz", npy_text)).dtype, DType::kFloat32);
  EXPECT_EQ(read_array(write_file(folder / "a.CSV", "1,2\n")).numel(), 2);
  EXPECT_EQ(read_array(write_gzip(folder / "a.csv.gz", "1\t2\n")).numel(), 2);
}

TEST(Read, ReportsATruncatedIdxInsideGzip) {
  ScratchFolder folder;
  const auto path = write_gzip(folder / "train-images-idx3-ubyte.gz",
                               idx_text(0x08, {60000, 28, 28}, std::string(1000, 'x')));
  EXPECT_TRUE(contains(message_of<DataError>([&] { (void)read_array(path); }),
                       "truncated IDX: header declares 60000 x 28 x 28 = 47040000 bytes"));
  const auto cut = write_file(folder / "short-idx3-ubyte", std::string(2, '\0'));
  EXPECT_TRUE(contains(message_of<DataError>([&] { (void)read_array(cut); }), "truncated IDX"));
}

TEST(Read, RefusesFoldersAndUnknownFormats) {
  ScratchFolder folder;
  const auto read = [](const std::filesystem::path& path) { (void)read_array(path); };
  EXPECT_EQ(message_of<NoInputError>([&] { read(folder.path()); }),
            "folder " + folder.path().string() +
                " holds no data file; expected an IDX, NPY or CSV file, plain or .gz");
  write_file(folder / "b.png", "\x89PNG....");
  EXPECT_TRUE(contains(message_of<DataError>([&] { read(folder.path()); }), "name one of them"));
  EXPECT_TRUE(contains(message_of<DataError>([&] { read(folder / "b.png"); }), "not recognised"));
  EXPECT_TRUE(contains(message_of<DataError>([&] { read(write_file(folder / "e.npy", "")); }),
                       "the file is empty"));
  EXPECT_TRUE(contains(
      message_of<DataError>([&] { read(write_file(folder / "w.npy", "12345678")); }), "not NPY"));
  EXPECT_THROW(read(folder / "none.csv"), NoInputError);
}

}  // namespace
}  // namespace elbo::data
