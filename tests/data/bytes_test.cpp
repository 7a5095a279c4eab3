#include "elbo/data/bytes.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "elbo/error.h"

namespace elbo::data {
namespace {

std::filesystem::path written(const std::string& name, const std::string& text) {
  const auto path = std::filesystem::path(::testing::TempDir()) / name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}
std::string text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Bytes, OfAFileAreItsContents) {
  const auto path = written("mapped", "0123456789");
  auto bytes = Bytes::mapped(path);
  EXPECT_EQ(text_of(bytes), "0123456789");
  bytes[0] = std::byte{'x'};
  EXPECT_EQ(text_of(bytes), "x123456789");
  EXPECT_EQ(text_of(Bytes::mapped(path)), "0123456789") << "the file is as it was";
  std::filesystem::remove(path);
  EXPECT_EQ(text_of(bytes), "x123456789") << "a mapped file may lose its name";
  EXPECT_TRUE(Bytes::mapped(written("empty", "")).empty());
  EXPECT_THROW((void)Bytes::mapped("/no/such/file"), IoError);
}

TEST(Bytes, CopiesAreTheirOwn) {
  Bytes a(std::vector<std::byte>{std::byte{1}, std::byte{2}});
  Bytes b = a;
  EXPECT_TRUE(a == b);
  b[0] = std::byte{9};
  EXPECT_EQ(a[0], std::byte{1});
  EXPECT_FALSE(a == b);
  const Bytes c = std::move(b);
  EXPECT_EQ(c[0], std::byte{9});
  EXPECT_EQ(Bytes(3)[2], std::byte{0});
}

TEST(Bytes, DropTheirFrontAndKeepTheAlignment) {
  auto bytes = Bytes::mapped(written("front", "0123456789abcdef"));
  const auto* before = bytes.data();
  bytes.drop_front(8, 8);
  EXPECT_EQ(text_of(bytes), "89abcdef");
  EXPECT_EQ(bytes.data(), before + 8) << "nothing is moved";
  bytes.drop_front(1, 8);
  EXPECT_EQ(text_of(bytes), "9abcdef");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % 8, 0U);
  bytes.drop_front(100, 8);
  EXPECT_TRUE(bytes.empty());
}

}  // namespace
}  // namespace elbo::data
