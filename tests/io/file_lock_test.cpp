#include "elbo/io/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "elbo/error.h"
#include "io/temporary_directory.h"

namespace elbo::io {
namespace {

/// Whether another process could have the lock.
bool is_free(const std::filesystem::path& path) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(FileLock::try_lock(path) ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(FileLock, OneHolderAtATime) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "lock";
  {
    auto lock = FileLock::try_lock(path);
    ASSERT_TRUE(lock);
    EXPECT_FALSE(FileLock::try_lock(path)) << "in this process neither";
    EXPECT_FALSE(is_free(path));
    const FileLock moved = std::move(*lock);
    lock.reset();
    EXPECT_FALSE(is_free(path)) << "it went with the move";
    EXPECT_TRUE(is_free(directory.path() / "another"));
  }
  EXPECT_TRUE(is_free(path));
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(FileLock, EndsWithItsProcess) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "lock";
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = FileLock::try_lock(path);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(FileLock::try_lock(path));
}

TEST(FileLock, SaysWhatItCannotOpen) {
  const TemporaryDirectory directory;
  EXPECT_THROW((void)FileLock::try_lock(directory.path() / "none" / "lock"), IoError);
}

}  // namespace
}  // namespace elbo::io
