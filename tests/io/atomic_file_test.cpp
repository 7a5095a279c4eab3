#include "elbo/io/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "elbo/error.h"
#include "io/temporary_directory.h"

namespace elbo::io {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  const auto bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <typename Exception, typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Exception& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(AtomicFile, WritesAndReplaces) {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "file";
  for (const size_t size : {0, 1, 4095, 4096, 1000000}) {
    const std::string text(size, 'x');
    write_file(path, text);
    EXPECT_EQ(text_of(path), text);
  }
  EXPECT_EQ(directory.entries(), 1U);
}

TEST(AtomicFile, ModeFollowsTheUmask) {
  const TemporaryDirectory directory;
  const mode_t before = ::umask(027);
  write_file(directory.path() / "file", "x");
  ::umask(before);
  struct stat info {};
  ASSERT_EQ(::stat((directory.path() / "file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0640U);
}

TEST(AtomicFile, FullDiskKeepsTheOldFile) {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "file";
  write_file(path, "old");
  // Every limit below the size, so that the first, a middle and the last write is the short one.
  for (const rlim_t limit : {0, 1, 4096, 99999}) {
    const FileSizeLimit full(limit);
    EXPECT_EQ(message_of<IoError>([&] { write_file(path, std::string(100000, 'n')); }),
              path.string() + ": cannot write: File too large");
    EXPECT_EQ(text_of(path), "old");
    EXPECT_EQ(directory.entries(), 1U) << "a temporary file is left";
  }
}

TEST(AtomicFile, DeviceIsWrittenNotReplaced) {
  EXPECT_EQ(message_of<IoError>([] { write_file("/dev/full", "x"); }),
            "/dev/full: cannot write: No space left on device");
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
  EXPECT_NO_THROW(write_file("/dev/null", "x"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(AtomicFile, FollowsSymbolicLinks) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "target", "old");
  fs::create_symlink("target", directory.path() / "link");
  write_file(directory.path() / "link", "new");
  EXPECT_TRUE(fs::is_symlink(directory.path() / "link"));
  EXPECT_EQ(text_of(directory.path() / "target"), "new");
}

TEST(AtomicFile, StepsOverLeftoversOfAKilledProcess) {
  const TemporaryDirectory directory;
  const fs::path leftover = directory.path() / (".file.tmp." + std::to_string(::getpid()));
  write_file(leftover, "leftover");
  write_file(directory.path() / "file", "new");
  EXPECT_EQ(text_of(directory.path() / "file"), "new");
  EXPECT_EQ(text_of(leftover), "leftover");
}

TEST(AtomicFile, RefusesWhatCannotBeWritten) {
  const TemporaryDirectory directory;
  EXPECT_THROW(write_file(directory.path(), "x"), IoError);
  EXPECT_THROW(write_file(directory.path() / "", "x"), IoError);
  EXPECT_THROW(write_file(directory.path() / "absent" / "file", "x"), IoError);
  EXPECT_THROW(write_file("/proc/file", "x"), IoError);
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  fs::permissions(directory.path(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_EQ(message_of<IoError>([&] { write_file(directory.path() / "file", "x"); }),
            (directory.path() / "file").string() + ": cannot write: Permission denied");
  fs::permissions(directory.path(), fs::perms::owner_all);
}

TEST(AtomicFile, ReadingTellsAbsentFromUnreadable) {
  const TemporaryDirectory directory;
  EXPECT_EQ(message_of<NoInputError>([] { (void)read_file("/absent"); }),
            "/absent: cannot read: No such file or directory");
  try {
    (void)read_file(directory.path());
    ADD_FAILURE();
  } catch (const NoInputError&) {
    ADD_FAILURE() << "a directory is there, but is not readable";
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("Is a directory"), std::string::npos);
  }
}

}  // namespace
}  // namespace elbo::io
