#include "elbo/plotting/report.h"

#include <gtest/gtest.h>

namespace elbo::plotting {
namespace {

std::vector<std::byte> bytes(std::string_view text) {
  std::vector<std::byte> out;
  for (const char c : text) out.push_back(static_cast<std::byte>(c));
  return out;
}

bool has(const std::string& page, std::string_view part) {
  return page.find(part) != std::string::npos;
}

TEST(Report, HoldsEverythingEscapedAndNothingOutside) {
  const std::string page = report_html({
      .title = "<script>alert('x')</script>",
      .settings = {{"a & b", "\"1\" < 2"}},
      .results = {{"test bound", "-104.2 nats"}},
      .figures = {{.title = "Sam<ples", .caption = "c&d", .png = bytes("f"), .pixelated = true},
                  {.title = "Curve", .caption = "", .png = bytes("foobar")},
                  {.title = "Two", .caption = "", .png = bytes("fo")}},
  });
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  EXPECT_FALSE(has(page, "<script"));
  EXPECT_FALSE(has(page, "http"));
  EXPECT_TRUE(has(page, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
  EXPECT_TRUE(has(page, "a &amp; b"));
  EXPECT_TRUE(has(page, "&quot;1&quot; &lt; 2"));
  EXPECT_TRUE(has(page, "Sam&lt;ples"));
  EXPECT_TRUE(has(page, "-104.2 nats"));
  EXPECT_TRUE(has(page, "base64,Zg==\""));
  EXPECT_TRUE(has(page, "base64,Zm9vYmFy\""));
  EXPECT_TRUE(has(page, "base64,Zm8=\""));
  EXPECT_TRUE(has(page, "class=\"pixels\" alt=\"Sam"));
  EXPECT_FALSE(has(page, "class=\"pixels\" alt=\"Curve"));
}

TEST(Report, EmptyPartsAreLeftOut) {
  const std::string page = report_html({.title = "t"});
  EXPECT_FALSE(has(page, "<h2>"));
}

}  // namespace
}  // namespace elbo::plotting
