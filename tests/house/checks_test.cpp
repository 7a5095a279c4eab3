// Each check of the house against small planted trees: it must find the fault, and only that.
#include "checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace elbo::house {
namespace {

TEST(Strip, BlanksCommentsAndLiteralsAndKeepsLines) {
  const std::string source =
      "int a; // rand()\n/* rand(\n) */ int b;\nauto s = \"rand(\\\"\"; f();\n"
      "auto r = R\"x(rand()\")x\"; g();\nlong n = 1'000'000; h('\"');\n#include \"nn/mlp.h\" // "
      "x\n";
  const std::string stripped = strip_comments_and_literals(source);
  EXPECT_EQ(stripped.find("rand"), std::string::npos);
  for (const char* kept :
       {"int a;", "int b;", "f();", "g();", "1'000'000", "#include \"nn/mlp.h\""}) {
    EXPECT_NE(stripped.find(kept), std::string::npos) << kept;
  }
  EXPECT_EQ(std::count(stripped.begin(), stripped.end(), '\n'),
            std::count(source.begin(), source.end(), '\n'));
}

TEST(Layers, FindsAnUpwardPublicInclude) {
  const Tree tree = {
      {"include/elbo/program/trace.h", "#pragma once\n#include <elbo/models/vae.h>\n"}};
  const Findings expected = {"include/elbo/program/trace.h:2: program may not use models"};
  EXPECT_EQ(upward_includes(tree), expected);
}

TEST(Layers, FindsAnUpwardPrivateInclude) {
  for (const std::string include : {"nn/detail/gemm.h", "../nn/detail/gemm.h", "src/nn/gemm.h"}) {
    const Tree tree = {{"src/kernels/linear.cpp", "#include \"" + include + "\"\n"}};
    EXPECT_EQ(upward_includes(tree).size(), 1u) << include;
  }
}

TEST(Layers, FindsFoundationUsingAnAreaAndAnAreaUsingTheUmbrella) {
  EXPECT_EQ(upward_includes({{"include/elbo/batch.h", "#include <elbo/nn/mlp.h>\n"}}).size(), 1u);
  EXPECT_EQ(upward_includes({{"src/nn/mlp.cpp", "#include <elbo/elbo.h>\n"}}).size(), 1u);
  EXPECT_EQ(upward_includes({{"src/nn/mlp.cpp", "#include <elbo/models.h>\n"}}).size(), 1u);
}

TEST(Layers, FindsAnAreaThatIsNotInTheTable) {
  EXPECT_EQ(upward_includes({{"src/misc/things.cpp", "int a;\n"}}).size(), 1u);
}

TEST(Layers, AcceptsDownwardFoundationOwnAndCommentedIncludes) {
  const Tree tree = {
      {"include/elbo/elbo.h", "#include <elbo/cli/app.h>\n#include <elbo/nn/mlp.h>\n"},
      {"include/elbo/nn.h", "#include <elbo/nn/mlp.h>\n"},
      {"src/nn/mlp.cpp",
       "#include <elbo/nn/mlp.h>\n#include <elbo/distributions/normal.h>\n"
       "#include <elbo/error.h>\n#include \"detail/fused.h\"\n#include <vector>\n"
       "// #include <elbo/models/vae.h>\n"},
  };
  EXPECT_EQ(upward_includes(tree), Findings{});
}

TEST(Layers, TableHasNoCycle) {
  auto left = allowed_edges();
  for (bool removed = true; removed && !left.empty();) {  // peel areas that use nothing left
    removed = false;
    for (auto it = left.begin(); it != left.end();) {
      const auto& uses = it->second;
      const bool is_bottom = std::none_of(uses.begin(), uses.end(),
                                          [&](const auto& used) { return left.contains(used); });
      removed = removed || is_bottom;
      it = is_bottom ? left.erase(it) : std::next(it);
    }
  }
  EXPECT_TRUE(left.empty()) << "cycle through " << left.begin()->first;
}

TEST(Pairing, FindsASourceWithoutTestAndATestWithoutSource) {
  EXPECT_EQ(unpaired_sources_and_tests({{"src/nn/mlp.cpp", ""}}).size(), 1u);
  const Tree orphan = {
      {"src/nn/mlp.cpp", ""}, {"tests/nn/mlp_test.cpp", ""}, {"tests/nn/gone_test.cpp", ""}};
  const auto findings = unpaired_sources_and_tests(orphan);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_TRUE(findings[0].starts_with("tests/nn/gone_test.cpp")) << findings[0];
}

TEST(Pairing, CommandsNeedTestsOfTheProgram) {
  EXPECT_EQ(unpaired_sources_and_tests({{"src/cli/train.cpp", ""}}).size(), 1u);
  EXPECT_EQ(unpaired_sources_and_tests({{"src/cli/train.cpp", ""}, {"tests/cli/cli_test.cpp", ""}}),
            Findings{});
}

TEST(Pairing, AcceptsPairsPrivatePiecesHeadersAndStatisticalTests) {
  const Tree tree = {
      {"src/nn/mlp.cpp", ""},
      {"src/nn/detail/fused.cpp", ""},
      {"include/elbo/nn/heads.h", ""},
      {"tests/nn/mlp_test.cpp", ""},
      {"tests/nn/mlp_statistical_test.cpp", ""},
      {"tests/nn/heads_test.cpp", ""},
      {"tests/house/layers_test.cpp", ""},
  };
  EXPECT_EQ(unpaired_sources_and_tests(tree), Findings{});
}

TEST(Samplers, FindsEach) {
  for (const std::string code :
       {"auto x = at::randn({2});", "auto x = torch::rand({2});", "auto x = randn_like(y);",
        "x.bernoulli_(0.5);", "x->normal_(0, 1);", "x.uniform_();", "auto i = at::randperm(n);",
        "auto i = at::randint(0, 9, {n});", "auto g = at::_standard_gamma(a);",
        "auto k = at::poisson(rate);", "auto k = probs.multinomial(1);", "auto k = p.bernoulli();",
        "auto k = at::bernoulli(p);", "auto k = at::normal(0.0, p);", "return randn ({2});",
        "auto k = at::native::randn({2});"}) {
    EXPECT_EQ(aten_samplers({{"src/nn/mlp.cpp", code}}).size(), 1u) << code;
    EXPECT_EQ(aten_samplers({{"include/elbo/nn/mlp.h", code}}).size(), 1u) << code;
    EXPECT_EQ(aten_samplers({{"tests/nn/mlp_test.cpp", code}}), Findings{}) << code;
  }
}

TEST(Samplers, AcceptsKeyedNoiseMembersAndComments) {
  for (const std::string code :
       {"auto x = noise.normal({2});", "Vae() : normal_(loc, scale) {}", "// at::randn({2})",
        "throw Error(\"rand() is not allowed\");", "auto strand = make_strand(x);",
        "Poisson(rate).sample(noise);", "auto y = normal_.log_prob(x);", "brand(x);"}) {
    EXPECT_EQ(aten_samplers({{"src/nn/mlp.cpp", code}}), Findings{}) << code;
  }
}

TEST(Kernels, FindsOneThatAPlanDoesNotSee) {
  const std::string kernel = "auto* x = t.data_ptr<float>();";
  EXPECT_EQ(unrecorded_kernels({{"src/kernels/a.cpp", kernel}}, {}).size(), 1u);
  EXPECT_EQ(unrecorded_kernels({{"src/kernels/a.cpp", kernel + "// recording::run"}}, {}).size(),
            1u);
  EXPECT_EQ(unrecorded_kernels({{"src/kernels/a.cpp", kernel + "recording::run(f);"}}, {}),
            Findings{});
  EXPECT_EQ(unrecorded_kernels({{"src/kernels/a.cpp", kernel}}, {"src/kernels/a.cpp"}), Findings{});
  EXPECT_EQ(unrecorded_kernels({{"src/io/a.cpp", kernel}}, {}), Findings{});
}

TEST(Length, FindsALongFileUnlessItIsNamed) {
  const Tree tree = {{"src/nn/mlp.cpp", "1\n2\n3\n4\n"}, {"src/nn/rnn.cpp", "1\n2\n3\n"}};
  const Findings expected = {"src/nn/mlp.cpp: 4 lines; expected at most 3"};
  EXPECT_EQ(long_files(tree, 3, {}), expected);
  EXPECT_EQ(long_files(tree, 3, {"src/nn/mlp.cpp"}), Findings{});
}

TEST(Headers, FindsTorchAndAMissingGuard) {
  EXPECT_EQ(heavy_or_unguarded_headers(
                {{"include/elbo/nn/mlp.h", "#pragma once\n#include <torch/torch.h>\n"}})
                .size(),
            1u);
  EXPECT_EQ(heavy_or_unguarded_headers({{"include/elbo/nn/mlp.h", "// #pragma once\n"}}).size(),
            1u);
  EXPECT_EQ(heavy_or_unguarded_headers(
                {{"include/elbo/nn/mlp.h", "#pragma once\n#include <torch/nn/module.h>\n"}}),
            Findings{});
}

TEST(Snippets, FindsALineThatTheExampleDoesNotHave) {
  const Tree tree = {
      {"README.md", "text\n```sh\nls\n```\n```cpp\nauto a = f();\nauto b = g();\n```\nauto c;\n"},
      {"example.cpp", "int main() {\n  auto a = f();\n}\n"}};
  const Findings expected = {"README.md:7: 'auto b = g();' is not in example.cpp"};
  EXPECT_EQ(snippets_not_in(tree, "README.md", "example.cpp"), expected);
  EXPECT_EQ(snippets_not_in(tree, "README.md", "gone.cpp").size(), 1u);
}

TEST(ReadTree, SkipsBuildsAndReadsText) {
  const auto root = std::filesystem::path(testing::TempDir()) / "elbo_house_tree";
  std::filesystem::remove_all(root);
  for (const std::string path : {"src/nn/mlp.cpp", "build/release/x.cpp", "runs/digits/x.json",
                                 ".git/x.txt", "docs/picture.png"}) {
    std::filesystem::create_directories((root / path).parent_path());
    std::ofstream(root / path) << "text\n";
  }
  const Tree expected = {{"src/nn/mlp.cpp", "text\n"}};
  EXPECT_EQ(read_tree(root.string()), expected);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace elbo::house
