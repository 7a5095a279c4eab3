// The rules of the house, checked on this project. What each check finds is proven in checks_test.
#include <gtest/gtest.h>

#include <string>

#include "checks.h"
#include "support/source_dir.h"

namespace elbo::house {
namespace {

constexpr std::size_t kMaxLines = 600;

const Tree& project() {
  static const Tree tree = read_tree(elbo::testing::source_dir());
  return tree;
}

std::string listed(const Findings& findings) {
  std::string text;
  for (const auto& finding : findings) text += "\n  " + finding;
  return text;
}

TEST(House, HasSources) {
  EXPECT_TRUE(project().contains("include/elbo/error.h")) << "in " << elbo::testing::source_dir();
}

TEST(House, IncludesPointDownward) {
  const auto findings = upward_includes(project());
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(House, SourcesAndTestsArePaired) {
  const auto findings = unpaired_sources_and_tests(project());
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(House, NoiseIsKeyed) {
  const auto findings = aten_samplers(project());
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(House, KernelsJoinPlans) {
  // gradient_sink.cpp only compares addresses; distribution.cpp words a complaint; arithmetic.cpp
  // is what a plan replays
  const auto findings = unrecorded_kernels(
      project(), {"src/kernels/gradient_sink.cpp", "src/distributions/distribution.cpp",
                  "src/kernels/detail/arithmetic.cpp"});
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(House, FilesAreShort) {
  // kl_continuous.cpp: one table of pairs over shared moments
  const auto findings =
      long_files(project(), kMaxLines, {"CHANGELOG.md", "src/distributions/kl_continuous.cpp"});
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(House, PublicHeadersAreLight) {
  const auto findings = heavy_or_unguarded_headers(project());
  EXPECT_TRUE(findings.empty()) << listed(findings);
}

TEST(House, ReadmeSnippetsAreCutFromTheExample) {
  for (const std::string page : {"README.md", "README.ja.md"}) {
    const auto findings = snippets_not_in(project(), page, "examples/five_lines.cpp");
    EXPECT_TRUE(findings.empty()) << listed(findings);
  }
}

}  // namespace
}  // namespace elbo::house
