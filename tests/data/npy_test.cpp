#include "elbo/data/npy.h"

#include <gtest/gtest.h>

#include "data/files.h"

namespace elbo::data {
namespace {

using namespace testing;

std::string npy_text(const std::string& header, std::string_view body, int version = 1) {
  std::string text = "\x93NUMPY";
  text += static_cast<char>(version);
  text += '\0';
  const int length_bytes = version == 1 ? 2 : 4;
  for (int i = 0; i < length_bytes; ++i) text += static_cast<char>(header.size() >> (8 * i));
  return text + header + std::string(body);
}

std::string dict(const std::string& descr, const std::string& shape, bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
         ", 'shape': " + shape + ", }\n";
}

std::string refusal(const std::string& text) {
  return message_of<DataError>([&] { (void)parse_npy(bytes_of(text), "a.npy"); });
}

TEST(Npy, ReadsVersionsOneToThree) {
  for (const int version : {1, 2, 3}) {
    const Array array =
        parse_npy(bytes_of(npy_text(dict("|u1", "(2, 3)"), "abcdef", version)), "a");
    EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(array.as<uint8_t>()[3], 'd');
  }
  EXPECT_TRUE(contains(refusal(npy_text(dict("|u1", "(1,)"), "a", 4)), "version 4"));
}

TEST(Npy, LeavesTheNumbersWhereTheyAre) {
  // A mapped file stays one, and takes no memory of its own.
  Bytes bytes = bytes_of(npy_text(dict("|u1", "(2, 3)"), "abcdef"));
  const std::byte* last = bytes.end() - 1;
  const Array array = parse_npy(std::move(bytes), "a");
  EXPECT_EQ(array.bytes.end() - 1, last);
}

TEST(Npy, ReadsScalarsEmptyArraysAndBooleans) {
  EXPECT_EQ(parse_npy(bytes_of(npy_text(dict("|b1", "()"), "\1")), "a").numel(), 1);
  EXPECT_EQ(parse_npy(bytes_of(npy_text(dict("<f8", "(0, 7)"), "")), "a").numel(), 0);
}

TEST(Npy, TurnsFortranOrderIntoC) {
  // Column by column: (0,0) (1,0) (0,1) (1,1) (0,2) (1,2).
  const Array flat = parse_npy(bytes_of(npy_text(dict("|u1", "(2, 3)", true), "adbecf")), "a");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(flat.bytes.data()), 6), "abcdef");
  std::string fortran(24, '\0');
  std::string expected(24, '\0');
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 4; ++k) {
        const char value = static_cast<char>('a' + i * 12 + j * 4 + k);
        fortran[static_cast<size_t>(i + 2 * j + 6 * k)] = value;
        expected[static_cast<size_t>(i * 12 + j * 4 + k)] = value;
      }
    }
  }
  const Array cube = parse_npy(bytes_of(npy_text(dict("|u1", "(2, 3, 4)", true), fortran)), "a");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(cube.bytes.data()), 24), expected);
}

TEST(Npy, WritesWhatItReads) {
  for (const DType dtype :
       {DType::kUInt8, DType::kInt32, DType::kInt64, DType::kFloat32, DType::kFloat64}) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{}, {5}, {2, 3}, {0, 4}, {1, 2, 3, 4}}) {
      Array array = Array::zeros(shape, dtype);
      for (size_t i = 0; i < array.bytes.size(); ++i)
        array.bytes[i] = static_cast<std::byte>(i * 7);
      const std::vector<std::byte> bytes = encode_npy(array);
      EXPECT_EQ((bytes.size() - array.bytes.size()) % 64, 0U);
      const Array again = parse_npy(std::span<const std::byte>(bytes), "a");
      EXPECT_EQ(again.shape, shape);
      EXPECT_EQ(again.dtype, dtype);
      EXPECT_EQ(again.bytes, array.bytes);
    }
  }
  Array wrong = Array::zeros({4}, DType::kUInt8);
  wrong.shape = {5};
  EXPECT_THROW((void)encode_npy(wrong), DataError);
}

TEST(Npy, RefusesFilesThatDeclareMoreThanTheyHold) {
  EXPECT_EQ(
      refusal(npy_text(dict("<f8", "(1000000000, 1000)"), "12345678")),
      "a.npy: truncated NPY: header declares 1000000000 x 1000 float64 = 8000000000000 bytes, "
      "file has 8");
  EXPECT_TRUE(
      contains(refusal(npy_text(dict("<f8", "(9223372036854775807, 2)"), "")), "address space"));
  EXPECT_TRUE(contains(refusal(npy_text(dict("<f8", "(99999999999999999999,)"), "")), "64 bits"));
  EXPECT_TRUE(contains(refusal(npy_text(dict("|u1", "(-1,)"), "")), "negative"));
  EXPECT_TRUE(contains(refusal(npy_text(dict("|u1", "(3,)"), "abcd")), "trailing data"));
  const std::string whole = npy_text(dict("|u1", "(3,)"), "abc");
  for (size_t keep = 6; keep < whole.size(); ++keep) {
    EXPECT_TRUE(contains(refusal(whole.substr(0, keep)), "truncated NPY")) << keep;
  }
}

TEST(Npy, RefusesOtherElementTypesByName) {
  EXPECT_TRUE(contains(refusal(npy_text(dict("|O", "(1,)"), "abcdefgh")), "object array"));
  EXPECT_TRUE(contains(refusal(npy_text(dict("<U3", "(1,)"), "abcdefghijkl")), "text array"));
  EXPECT_TRUE(contains(refusal(npy_text(dict("<c16", "(1,)"), "")), "complex array"));
  EXPECT_TRUE(contains(refusal(npy_text(dict(">f8", "(1,)"), "12345678")), "big-endian"));
  EXPECT_TRUE(contains(refusal(npy_text(dict("<f2", "(1,)"), "12")), "'<f2' is not supported"));
  EXPECT_TRUE(contains(
      refusal(npy_text("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", "")),
      "structured array"));
}

TEST(Npy, RefusesMalformedHeaders) {
  for (const char* header :
       {"", "{", "{}", "{'descr': '|u1'}", "{'descr': '|u1', 'shape': (1,)}",
        "{'descr': '|u1', 'fortran_order': 1, 'shape': (1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, x)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} junk",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'more': 1}", "{'descr: |u1"}) {
    EXPECT_TRUE(contains(refusal(npy_text(header, "a")), "malformed NPY header")) << header;
  }
  EXPECT_TRUE(contains(refusal("not an array"), "not NPY"));
}

}  // namespace
}  // namespace elbo::data
