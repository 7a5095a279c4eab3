#include "elbo/io/safetensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "elbo/error.h"
#include "elbo/io/atomic_file.h"
#include "io/temporary_directory.h"

namespace elbo::io {
namespace {

bool bits_equal(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         (a.nbytes() == 0 ||
          std::memcmp(a.contiguous().data_ptr(), b.contiguous().data_ptr(), a.nbytes()) == 0);
}

TensorFile example() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  TensorFile file;
  file.tensors = {{"bool", at::tensor({1, 0, 1}).to(at::kBool)},
                  {"u8", at::arange(7).to(at::kByte)},
                  {"bf16", at::linspace(-3, 3, 5).to(at::kBFloat16)},
                  {"f32", at::tensor({0.1, -0.0, nan, 1e-40}, at::kFloat)},
                  {"i32", at::tensor({-1, 2147483647}, at::kInt)},
                  {"f64", at::tensor({0.1, nan, 5e-324}, at::kDouble)},
                  {"i64", at::full({2, 1}, std::numeric_limits<int64_t>::min(), at::kLong)},
                  {"scalar", at::scalar_tensor(2.5, at::kDouble)},
                  {"empty", at::empty({0, 4}, at::kFloat)},
                  {"transposed", at::arange(6, at::kFloat).view({2, 3}).t()},
                  {"näme \"quoted\"", at::ones({1, 1, 1, 1, 1, 1, 1, 2}, at::kFloat)}};
  file.metadata = {{"epoch", "12"}, {"text", "\"crc32\":\"12345678\" \n ü"}};
  return file;
}

TEST(Safetensors, RoundTripIsExactForEveryType) {
  const TensorFile file = example();
  const TensorFile read = parse_safetensors(encode_safetensors(file), "memory");
  ASSERT_EQ(read.tensors.size(), file.tensors.size());
  for (const NamedTensor& named : file.tensors) {
    EXPECT_TRUE(bits_equal(read.at(named.name), named.tensor)) << named.name;
  }
  EXPECT_EQ(read.metadata, file.metadata);
}

TEST(Safetensors, EncodingIsDeterministicAndAligned) {
  const auto bytes = encode_safetensors(example());
  EXPECT_EQ(bytes, encode_safetensors(parse_safetensors(bytes, "memory")));
  EXPECT_EQ(std::to_integer<int>(bytes[0]) % 8, 0);
}

TEST(Safetensors, FilesAndMissingTensors) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "w.safetensors";
  save(path, example());
  const TensorFile file = load(path);
  EXPECT_TRUE(file.contains("f32"));
  EXPECT_FALSE(file.contains("f33"));
  try {
    (void)file.at("f33");
    ADD_FAILURE();
  } catch (const DataError& error) {
    EXPECT_EQ(error.what(), path.string() + ": has no tensor 'f33'");
  }
  EXPECT_THROW((void)load(directory.path() / "absent"), NoInputError);
}

TEST(Safetensors, RefusesToEncodeWhatItCouldNotRead) {
  const at::Tensor x = at::zeros({1});
  EXPECT_THROW((void)encode_safetensors({.tensors = {{"a", x}, {"a", x}}}), ConfigError);
  EXPECT_THROW((void)encode_safetensors({.tensors = {{"__metadata__", x}}}), ConfigError);
  EXPECT_THROW((void)encode_safetensors({.tensors = {{"a", {}}}}), ConfigError);
  EXPECT_THROW((void)encode_safetensors({.tensors = {{"a", x.to(at::kHalf)}}}), ConfigError);
  EXPECT_THROW((void)encode_safetensors({.tensors = {{"\xff", x}}}), ConfigError);
  EXPECT_THROW(
      (void)encode_safetensors({.tensors = {{"a", at::zeros({1, 1, 1, 1, 1, 1, 1, 1, 1})}}}),
      ShapeError);
}

TEST(Safetensors, RefusesABoolThatIsNeither) {
  std::string header = R"({"b":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})";
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  file += header + '\2';
  EXPECT_THROW((void)parse_safetensors(std::as_bytes(std::span<const char>(file)), "f"), DataError);
}

/// All the ways to hurt one byte. The checksum covers header and data, so the damage goes unseen
/// only where it renames the checksum's own key.
TEST(Safetensors, EveryDamagedByteIsNoticed) {
  TensorFile file;
  file.tensors = {{"w", at::arange(4, at::kFloat)}, {"b", at::tensor({1, 0}).to(at::kBool)}};
  file.metadata = {{"epoch", "3"}};
  const auto bytes = encode_safetensors(file);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  size_t unseen = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (unsigned value = 0; value < 256; ++value) {
      auto damaged = bytes;
      if (damaged[i] == std::byte(value)) continue;
      damaged[i] = std::byte(value);
      try {
        (void)parse_safetensors(damaged, "f");
        ++unseen;
        EXPECT_TRUE(i >= text.find("crc32") && i < text.find("crc32") + 5) << "byte " << i;
      } catch (const DataError&) {
      }
    }
  }
  EXPECT_GT(unseen, 0U) << "then the exception made above is not needed";
}

TEST(Safetensors, EveryTruncationIsNoticed) {
  const auto bytes = encode_safetensors(example());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW((void)parse_safetensors(std::span(bytes).first(size), "f"), DataError) << size;
  }
}

}  // namespace
}  // namespace elbo::io
