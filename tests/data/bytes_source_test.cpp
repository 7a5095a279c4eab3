#include "elbo/data/bytes_source.h"

#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/error.h"

namespace elbo::data {
namespace {

using namespace testing;

std::string read(const std::filesystem::path& path, size_t limit = kMaxBytes) {
  const auto bytes = read_bytes(path, limit);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += std::to_string(i * 7919 % 10007) + ' ';
  return text;
}

TEST(BytesSource, ReadsPlainAndGzipWhateverTheName) {
  ScratchFolder folder;
  const std::string text = long_text();
  EXPECT_EQ(read(write_file(folder / "plain.gz", text)), text);
  EXPECT_EQ(read(write_gzip(folder / "packed", text)), text);
  EXPECT_EQ(read(write_file(folder / "empty", "")), "");
  EXPECT_EQ(read(write_file(folder / "one", "x")), "x");
  EXPECT_EQ(read(write_gzip(folder / "empty.gz", "")), "");
}

TEST(BytesSource, ReadsSeveralGzipMembers) {
  ScratchFolder folder;
  const std::string one = read_text(write_gzip(folder / "a", "first "));
  const std::string two = read_text(write_gzip(folder / "b", "second"));
  EXPECT_EQ(read(write_file(folder / "both", one + two)), "first second");
}

TEST(BytesSource, ReportsTruncatedCorruptAndTrailing) {
  ScratchFolder folder;
  const std::string packed = read_text(write_gzip(folder / "good.gz", long_text()));
  for (const size_t keep : {size_t{2}, size_t{12}, packed.size() / 2, packed.size() - 1}) {
    const auto path = write_file(folder / "cut.gz", packed.substr(0, keep));
    const std::string message = message_of<DataError>([&] { read(path); });
    EXPECT_TRUE(contains(message, "cut.gz: truncated gzip")) << keep << ' ' << message;
  }
  const auto trailing = write_file(folder / "trailing.gz", packed + "junk");
  EXPECT_TRUE(contains(message_of<DataError>([&] { read(trailing); }), "trailing data"));
  std::string bad = packed;
  bad[bad.size() - 6] = static_cast<char>(bad[bad.size() - 6] ^ 0x55);  // the checksum
  const auto corrupt = write_file(folder / "corrupt.gz", bad);
  EXPECT_TRUE(contains(message_of<DataError>([&] { read(corrupt); }), "corrupt gzip"));
}

TEST(BytesSource, StopsAtTheLimit) {
  ScratchFolder folder;
  const std::string zeros(1 << 20, '\0');
  const auto bomb = write_gzip(folder / "bomb.gz", zeros);
  EXPECT_EQ(read(bomb, zeros.size()).size(), zeros.size());
  EXPECT_TRUE(contains(message_of<DataError>([&] { read(bomb, zeros.size() - 1); }),
                       "exceed the limit of 1048575 bytes"));
  const auto plain = write_file(folder / "plain", "12345");
  EXPECT_EQ(read(plain, 5), "12345");
  EXPECT_THROW(read(plain, 4), DataError);
}

TEST(BytesSource, NamesWhatIsMissing) {
  ScratchFolder folder;
  EXPECT_TRUE(contains(message_of<NoInputError>([&] { read(folder / "none"); }), "no such file"));
  EXPECT_TRUE(contains(message_of<DataError>([&] { read(folder.path()); }), "is a folder"));
}

}  // namespace
}  // namespace elbo::data
