#include "elbo/data/csv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/files.h"

namespace elbo::data {
namespace {

using namespace testing;

std::vector<double> values_of(const Array& array) {
  return {array.as<double>(), array.as<double>() + array.numel()};
}

std::string refusal(const std::string& text) {
  return message_of<DataError>([&] { (void)parse_csv(text, "file.csv"); });
}

TEST(Csv, ReadsSeparatorsHeadersAndLineEnds) {
  const std::vector<double> expected = {1, 2.5, -3e2, 4};
  for (const char* text :
       {"1,2.5\n-3e2,4\n", "1;2.5\r\n-3e2;4\r\n", "1\t2.5\n-3e2\t4", "a,b\n1,2.5\n-3e2,4\n",
        "\xEF\xBB\xBF\"a, x\",\"b\"\n1,2.5\n\n-3e2,+4\n\n", " 1 , 2.5\n -3e2,\"4\"\n"}) {
    const Array array = parse_csv(text, "file.csv");
    EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 2})) << text;
    EXPECT_EQ(values_of(array), expected) << text;
  }
}

TEST(Csv, MissingValuesBecomeNaN) {
  const auto values = values_of(parse_csv("1,,3\nnan,NA,NaN\n4,5,\n", "file.csv"));
  ASSERT_EQ(values.size(), 9U);
  for (const size_t i : {1U, 3U, 4U, 5U, 8U}) EXPECT_TRUE(std::isnan(values[i])) << i;
  for (const size_t i : {0U, 2U, 6U, 7U}) EXPECT_FALSE(std::isnan(values[i])) << i;
}

TEST(Csv, NamesTheLineOfAWord) {
  std::string text;
  for (int row = 1; row <= 600; ++row) text += row == 512 ? "1,2,abc\n" : "1,2,3\n";
  EXPECT_EQ(refusal(text), "file.csv: row 512, column 3: expected a number, got 'abc'");
  EXPECT_EQ(refusal("a,b\n1,2\n3,x\n"), "file.csv: row 3, column 2: expected a number, got 'x'");
  EXPECT_EQ(refusal("1,b\n1,2\n"), "file.csv: row 1, column 2: expected a number, got 'b'");
  EXPECT_EQ(refusal("1,2\n1,2 3\n"), "file.csv: row 2, column 2: expected a number, got '2 3'");
}

TEST(Csv, RefusesRaggedInfiniteAndEmpty) {
  EXPECT_EQ(refusal("1,2\n3\n"), "file.csv: row 2: expected 2 columns, got 1");
  EXPECT_EQ(refusal("1,2\n3,4,5\n"), "file.csv: row 2: expected 2 columns, got 3");
  EXPECT_EQ(refusal("1,2\n3,inf\n"),
            "file.csv: row 2, column 2: expected a finite number, got 'inf'");
  EXPECT_TRUE(contains(refusal("1,2\n3,1e999\n"), "finite number"));
  EXPECT_TRUE(contains(refusal(""), "holds no rows"));
  EXPECT_TRUE(contains(refusal("a,b\n"), "holds no rows"));
  const std::string message = refusal("1\n" + std::string(1000, '\1') + "\n");
  EXPECT_LT(message.size(), 120U);
  EXPECT_FALSE(contains(message, "\1"));
}

}  // namespace
}  // namespace elbo::data
