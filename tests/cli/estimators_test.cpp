// What the program says of gradients and evidences.
#include <sysexits.h>

#include <cmath>
#include <map>

#include "cli/program_fixture.h"

namespace elbo::cli::testing {
namespace {

class CliEstimators : public ProgramTest {
 protected:
  void SetUp() override {
    write("table.csv", table_csv(60, 6));
    expect_success({"train", "table.csv", "--out", "A", "--hidden", "8", "--latent", "2",
                    "--epochs", "2", "--threads", "1"});
  }
  [[nodiscard]] json figures(const Words& words) const {
    return json::parse(expect_success(words + Words{"--json"}));
  }
};

// ------------------------------------------------------------------ elbo compare gradients

TEST_F(CliEstimators, CompareGradientsShowsEachEstimatorsVariance) {
  const Words command = {"compare", "gradients", "A",         "table.csv",
                         "--batch", "20",        "--threads", "1"};
  const auto found = figures(command + Words{"--samples", "4"});
  EXPECT_EQ(found.at("rows"), 20);
  EXPECT_EQ(found.at("samples"), 4);
  std::map<std::string, double> phi, theta;
  for (const auto& e : found.at("estimators")) {
    phi[e.at("estimator")] = e.at("groups").at("phi").at("variance");
    theta[e.at("estimator")] = e.at("groups").at("theta").at("variance");
    EXPECT_GT(e.at("milliseconds"), 0);
  }
  ASSERT_EQ(phi.size(), 6U);
  EXPECT_GT(phi.at("score-function"), 10 * phi.at("sgvb-b"));
  EXPECT_LT(phi.at("score-function, leave one out"), phi.at("score-function"));
  EXPECT_LT(phi.at("score-function, moving average"), phi.at("score-function"));
  EXPECT_NEAR(theta.at("score-function") / theta.at("sgvb-b"), 1, 1e-3) << "the same draws";
  const auto again = figures(command + Words{"--samples", "4"});
  EXPECT_EQ(again.at("estimators")[0].at("groups"), found.at("estimators")[0].at("groups"));

  const auto text = expect_success(command + Words{"--samples", "1", "--repeats", "4"});
  EXPECT_TRUE(contains(text, "sgvb-a")) << text;
  EXPECT_TRUE(contains(text, "L = 1")) << text;
  EXPECT_FALSE(contains(text, "leave one out")) << "which takes two draws";
}

TEST_F(CliEstimators, CompareGradientsByParameterAddsUpToTheSegments) {
  const Words command = {"compare", "gradients", "A", "table.csv", "--repeats", "6"};
  const auto whole = figures(command).at("estimators")[0].at("groups");
  const auto parts = figures(command + Words{"--by", "parameter"}).at("estimators")[0].at("groups");
  double sum = 0;
  for (const auto& [name, group] : parts.items())
    if (name.starts_with("encoder.")) sum += group.at("variance").get<double>();
  EXPECT_NEAR(sum / whole.at("phi").at("variance").get<double>(), 1, 1e-6);
  const auto start = figures(command + Words{"--untrained"}).at("estimators")[0].at("groups");
  EXPECT_NE(start, whole);
}

TEST_F(CliEstimators, CompareRefuses) {
  expect_refusal({"compare"}, EX_USAGE, "subcommand");
  expect_refusal({"compare", "gradients", "A"}, EX_USAGE, "DATA");
  expect_refusal({"compare", "gradients", "A", "table.csv", "--samples", "0"}, EX_USAGE,
                 "--samples");
  expect_refusal({"compare", "gradients", "A", "table.csv", "--repeats", "3"}, EX_USAGE,
                 "--repeats");
  expect_refusal({"compare", "gradients", "A", "table.csv", "--by", "layer"}, EX_USAGE, "layer");
  expect_refusal({"compare", "gradients", "nowhere", "table.csv"}, EX_NOINPUT, "nowhere");
}

}  // namespace
}  // namespace elbo::cli::testing
