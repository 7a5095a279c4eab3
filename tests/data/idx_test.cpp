#include "elbo/data/idx.h"

#include <gtest/gtest.h>

#include "data/files.h"

namespace elbo::data {
namespace {

using namespace testing;
using std::string_literals::operator""s;

std::string refusal(const std::string& text, const std::string& name = "x-idx") {
  return message_of<DataError>([&] { (void)parse_idx(bytes_of(text), name); });
}

TEST(Idx, ReadsEachTypeFromBigEndian) {
  const Array bytes = parse_idx(bytes_of(idx_text(0x08, {2, 3}, "abcdef")), "x");
  EXPECT_EQ(bytes.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(bytes.as<uint8_t>()[5], 'f');
  const Array ints = parse_idx(bytes_of(idx_text(0x0C, {2}, "\0\0\1\2\xff\xff\xff\xfe"s)), "x");
  EXPECT_EQ(ints.as<int32_t>()[0], 258);
  EXPECT_EQ(ints.as<int32_t>()[1], -2);
  const Array floats = parse_idx(bytes_of(idx_text(0x0D, {1}, "\x3f\xc0\0\0"s)), "x");
  EXPECT_EQ(floats.as<float>()[0], 1.5F);
  const Array doubles = parse_idx(bytes_of(idx_text(0x0E, {1}, "\xc0\x04\0\0\0\0\0\0"s)), "x");
  EXPECT_EQ(doubles.as<double>()[0], -2.5);
}

TEST(Idx, SaysWhatATruncatedFileDeclares) {
  EXPECT_EQ(
      refusal(idx_text(0x08, {60000, 28, 28}, std::string(1000, 'x')), "train-images.gz"),
      "train-images.gz: truncated IDX: header declares 60000 x 28 x 28 = 47040000 bytes, file "
      "has 1000");
  EXPECT_TRUE(contains(refusal("\0\0"s), "truncated IDX"));
  EXPECT_TRUE(contains(refusal("\0\0\x08\3\0\0\0\1"s), "expected a header of 16 bytes"));
  EXPECT_TRUE(contains(refusal(idx_text(0x08, {3}, "abcd")), "trailing data after IDX"));
}

TEST(Idx, RefusesBadHeaders) {
  EXPECT_TRUE(contains(refusal("PK\3\4abcd"), "not IDX"));
  EXPECT_TRUE(contains(refusal(idx_text(0x0B, {1}, "ab")), "element type 11 is not supported"));
  EXPECT_TRUE(contains(refusal(idx_text(0x08, {}, "")), "no dimensions"));
  const uint32_t most = 0xffffffffU;
  EXPECT_TRUE(contains(refusal(idx_text(0x0E, {most, most, most}, "x")), "address space"));
  EXPECT_TRUE(contains(refusal(idx_text(0x08, {most, most, most, 0}, "")), "address space"));
}

}  // namespace
}  // namespace elbo::data
