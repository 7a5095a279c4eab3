#include "data/detail/spillable.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "data/files.h"
#include "elbo/data/bytes_source.h"

namespace elbo::data::detail {
namespace {

using data::testing::ScratchFolder;

constexpr int64_t kColumns = 1024;
constexpr int64_t kRows = static_cast<int64_t>(kMapFrom) / (kColumns * 4);

/// Whether the process maps a file of this folder: Linux names each in /proc/self/maps.
bool maps_a_file_in(const std::filesystem::path& folder) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find(folder.string() + "/elbo-") != std::string::npos) return true;
  return false;
}

class Spillable : public ::testing::Test {
 protected:
  void SetUp() override { ::setenv("TMPDIR", folder_.path().c_str(), 1); }
  void TearDown() override { ::unsetenv("TMPDIR"); }

  ScratchFolder folder_;
};

TEST_F(Spillable, LiesInAFileWithoutANameFromASizeOn) {
  {
    auto large = spillable({kRows, kColumns}, at::kFloat);
    EXPECT_TRUE(maps_a_file_in(folder_.path()));
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
    EXPECT_EQ(large.sizes(), at::IntArrayRef({kRows, kColumns}));
    EXPECT_EQ(large.scalar_type(), at::kFloat);
    large.copy_(at::arange(kRows, at::kFloat).unsqueeze(1));
    EXPECT_EQ(large[kRows - 1][kColumns - 1].item<float>(), static_cast<float>(kRows - 1));
    EXPECT_EQ(large[1].sum().item<float>(), static_cast<float>(kColumns));
  }
  EXPECT_FALSE(maps_a_file_in(folder_.path())) << "unmapped with the tensor";
  const auto small = spillable({kRows - 1, kColumns}, at::kFloat);
  EXPECT_FALSE(maps_a_file_in(folder_.path()));
}

TEST_F(Spillable, IsMemoryWhereNoFileCanBeMade) {
  ::setenv("TMPDIR", (folder_.path() / "missing").c_str(), 1);
  auto large = spillable({kRows, kColumns}, at::kFloat);
  large.fill_(2);
  EXPECT_EQ(large.select(1, 0).sum().item<float>(), static_cast<float>(2 * kRows));
}

}  // namespace
}  // namespace elbo::data::detail
