#include "elbo/io/safetensors_header.h"

#include <gtest/gtest.h>

#include <string>

#include "elbo/error.h"

namespace elbo::io {
namespace {

/// A file with this header text and so many zero bytes of data.
std::string file_of(const std::string& header, size_t data_bytes) {
  std::string out;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    out += static_cast<char>((static_cast<uint64_t>(header.size()) >> shift) & 0xffU);
  }
  return out + header + std::string(data_bytes, '\0');
}

SafetensorsHeader parse(const std::string& file) {
  return parse_safetensors_header(std::as_bytes(std::span<const char>(file.data(), file.size())),
                                  "file");
}

std::string tensor(const std::string& shape, const std::string& offsets,
                   const std::string& dtype = "F32") {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

TEST(SafetensorsHeader, AcceptsWhatTheFormatAllows) {
  EXPECT_TRUE(parse(file_of("{}", 0)).entries.empty());
  EXPECT_EQ(parse(file_of("{}   ", 0)).entries.size(), 0U) << "padding";
  const auto scalar = parse(file_of(R"({"a":)" + tensor("[]", "[0,4]") + "}", 4));
  EXPECT_TRUE(scalar.entries[0].shape.empty());
  const auto empty = parse(file_of(
      R"({"a":)" + tensor("[0,3]", "[0,0]") + R"(,"b":)" + tensor("[2]", "[0,8]") + "}", 8));
  EXPECT_EQ(empty.entries[0].name, "a");
  EXPECT_EQ(empty.entries[1].bytes, 8U);
  const auto unsorted = parse(
      file_of(R"({"b":)" + tensor("[1]", "[4,8]") + R"(,"a":)" + tensor("[1]", "[0,4]") + "}", 8));
  EXPECT_EQ(unsorted.entries[0].name, "a");
  const auto metadata = parse(file_of(R"({"__metadata__":{"k":"v\n"}})", 0));
  EXPECT_EQ(metadata.metadata.at("k"), "v\n");
}

struct Malformed {
  const char* what;
  std::string file;
  const char* message;  // a part of it
};

class SafetensorsMalformed : public testing::TestWithParam<Malformed> {};

TEST_P(SafetensorsMalformed, IsRefusedInOneLine) {
  try {
    (void)parse(GetParam().file);
    ADD_FAILURE() << "accepted";
  } catch (const DataError& error) {
    const std::string message = error.what();
    EXPECT_TRUE(message.starts_with("file: safetensors: ")) << message;
    EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

std::string one(const std::string& body) { return R"({"a":)" + body + "}"; }

INSTANTIATE_TEST_SUITE_P(
    Cases, SafetensorsMalformed,
    testing::Values(
        Malformed{"Empty", "", "expected at least 8"},
        Malformed{"ShortLength", "1234567", "expected at least 8"},
        Malformed{"HeaderTruncated", std::string("\x40\0\0\0\0\0\0\0{}", 10), "truncated"},
        Malformed{"HeaderHuge", std::string(8, '\xff'), "at most"},
        Malformed{"NoHeader", std::string(8, '\0'), "begin with"},
        Malformed{"LeadingSpace", file_of(" {}", 0), "begin with"},
        Malformed{"Array", file_of("[]", 0), "begin with"},
        Malformed{"NotJson", file_of("{nope}", 0), "not valid JSON"},
        Malformed{"Unfinished", file_of(R"({"a":)", 0), "not valid JSON"},
        Malformed{"TwoDocuments", file_of("{}{}", 0), "not valid JSON"},
        Malformed{"NotUtf8", file_of("{\"\xff\":1}", 0), "not valid JSON"},
        Malformed{"NulHidesText", file_of(std::string("{}\0hidden", 9), 0), "NUL"},
        Malformed{
            "DuplicateTensor",
            file_of(R"({"a":)" + tensor("[0]", "[0,0]") + R"(,"a":)" + tensor("[0]", "[0,0]") + "}",
                    0),
            "duplicate key 'a'"},
        Malformed{
            "DuplicateField",
            file_of(one(R"({"dtype":"F32","dtype":"F64","shape":[],"data_offsets":[0,4]})"), 4),
            "duplicate key 'dtype'"},
        Malformed{"DuplicateMetadata", file_of(R"({"__metadata__":{"k":"1","k":"2"}})", 0),
                  "duplicate key 'k'"},
        Malformed{"MetadataNumber", file_of(R"({"__metadata__":{"k":1}})", 0), "number"},
        Malformed{"MetadataObject", file_of(R"({"__metadata__":{"k":{}}})", 0), "only strings"},
        Malformed{"UnknownField",
                  file_of(one(R"({"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1})"), 4),
                  "unknown field 'x'"},
        Malformed{"MissingShape", file_of(one(R"({"dtype":"F32","data_offsets":[0,4]})"), 4),
                  "needs dtype, shape and data_offsets"},
        Malformed{"UnknownType", file_of(one(tensor("[]", "[0,4]", "F31")), 4), "dtype 'F31'"},
        Malformed{"NegativeSize", file_of(one(tensor("[-1]", "[0,4]")), 4), "negative"},
        Malformed{"FractionalSize", file_of(one(tensor("[1.5]", "[0,4]")), 4), "whole number"},
        Malformed{"StringSize", file_of(one(tensor(R"(["1"])", "[0,4]")), 4), "string"},
        Malformed{"NullShape", file_of(one(tensor("null", "[0,4]")), 4), "null"},
        Malformed{"Nested", file_of(one(tensor("[[[[[1]]]]]", "[0,4]")), 4), "array"},
        Malformed{"RankNine", file_of(one(tensor("[1,1,1,1,1,1,1,1,1]", "[0,4]")), 4),
                  "more than 8 dimensions"},
        Malformed{"OneOffset", file_of(one(tensor("[1]", "[0]")), 4), "two numbers"},
        Malformed{"ThreeOffsets", file_of(one(tensor("[1]", "[0,4,4]")), 4), "two numbers"},
        Malformed{"Backwards", file_of(one(tensor("[1]", "[4,0]")), 4), "expected to begin"},
        Malformed{"Hole", file_of(one(tensor("[1]", "[4,8]")), 8), "expected to begin at 0"},
        Malformed{"Overlap",
                  file_of(R"({"a":)" + tensor("[2]", "[0,8]") + R"(,"b":)" +
                              tensor("[2]", "[4,12]") + "}",
                          12),
                  "expected to begin at 8"},
        Malformed{"WrongSize", file_of(one(tensor("[3]", "[0,8]")), 8), "needs 12"},
        Malformed{"DataTruncated", file_of(one(tensor("[2]", "[0,8]")), 7), "truncated"},
        Malformed{"TrailingBytes", file_of(one(tensor("[2]", "[0,8]")), 9), "1 bytes after"},
        Malformed{"ProductOverflow", file_of(one(tensor("[4294967296,4294967296]", "[0,0]")), 0),
                  "overflows"},
        Malformed{"SizeOverflow", file_of(one(tensor("[18446744073709551615]", "[0,4]")), 4),
                  "overflows"},
        Malformed{"EmptyYetOverflowing",
                  file_of(one(tensor("[0,4611686018427387904,8]", "[0,0]")), 0), "overflows"},
        Malformed{"BadChecksum", file_of(R"({"__metadata__":{"crc32":"00000000"}})", 0), "damaged"},
        Malformed{"ShortChecksum", file_of(R"({"__metadata__":{"crc32":"0"}})", 0), "damaged"}),
    [](const auto& row) { return row.param.what; });

TEST(SafetensorsHeader, CapsTheNumberOfTensors) {
  std::string header = "{";
  for (size_t i = 0; i <= SafetensorsHeader::kMaxTensors; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":" + tensor("[0]", "[0,0]");
  }
  EXPECT_THROW((void)parse(file_of(header + "}", 0)), DataError);
}

TEST(SafetensorsHeader, DeepNestingEndsEarly) {
  EXPECT_THROW((void)parse(file_of("{\"a\":" + std::string(1000000, '['), 0)), DataError);
}

}  // namespace
}  // namespace elbo::io
