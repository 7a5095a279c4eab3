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

// ------------------------------------------------------------------ elbo evaluate --estimator

TEST_F(CliEstimators, EvaluatesTheEvidence) {
  const Words command = {"evaluate", "A", "table.csv", "--limit", "30"};
  const double bound = figures(command + Words{"--samples", "200"}).at("elbo");
  const std::map<std::string, Words> methods = {
      {"importance", {"--samples", "3000"}},
      {"ais", {"--samples", "20", "--temperatures", "20"}},
      {"hmc", {"--samples", "400"}},
  };
  const double reference =
      figures(command + Words{"--estimator", "importance", "--samples", "20000"})
          .at("log_evidence");
  EXPECT_GT(reference, bound) << "the bound is one";
  for (const auto& [name, more] : methods) {
    const auto found = figures(command + Words{"--estimator", name} + more);
    EXPECT_EQ(found.at("estimator"), name);
    EXPECT_EQ(found.at("rows"), 30);
    EXPECT_EQ(std::to_string(found.at("samples").get<int>()), more[1]);
    EXPECT_GT(found.at("draws_error"), 0);
    EXPECT_GT(found.at("standard_error"), found.at("draws_error"));
    EXPECT_TRUE(found.at("heavy_rows").is_number_integer());
    const double off = found.at("log_evidence").get<double>() - reference;
    EXPECT_LT(std::abs(off), 0.05) << name;
    EXPECT_EQ(found, figures(command + Words{"--estimator", name} + more)) << "by its seed";
    const auto text = expect_success(command + Words{"--estimator", name} + more);
    EXPECT_TRUE(contains(text, "log p(x)")) << text;
    EXPECT_TRUE(contains(text, "of the draws")) << text;
  }
  EXPECT_NE(figures(command + Words{"--estimator", "importance", "--seed", "1"}).at("log_evidence"),
            figures(command + Words{"--estimator", "importance"}).at("log_evidence"));
}

TEST_F(CliEstimators, EvaluatesSimulatedRowsFromBothSides) {
  const Words command = {"evaluate",    "A",   "table.csv",  "--limit",        "30",
                         "--estimator", "ais", "--simulate", "--temperatures", "30"};
  const auto found = figures(command);
  EXPECT_GT(found.at("upper").get<double>(), found.at("log_evidence").get<double>() - 0.1);
  EXPECT_LT(found.at("upper").get<double>(), found.at("log_evidence").get<double>() + 1);
  const auto text = expect_success(command);
  EXPECT_TRUE(contains(text, "30 simulated rows")) << text;
  EXPECT_TRUE(contains(text, "gap")) << text;
}

TEST_F(CliEstimators, EvaluateWarnsWhereAnEstimateIsNotReliable) {
  expect_success({"train", "table.csv", "--out", "wide", "--hidden", "8", "--latent", "6",
                  "--epochs", "1", "--threads", "1"});
  const Words hmc = {"--estimator", "hmc", "--limit", "3", "--samples", "160"};
  const auto wide = elbo(Words{"evaluate", "wide", "table.csv"} + hmc);
  EXPECT_EQ(wide.code, 0) << wide.err;
  EXPECT_TRUE(contains(wide.err, "not reliable above 5 latent dimensions; this model has 6"));
  const auto narrow = elbo(Words{"evaluate", "A", "table.csv"} + hmc);
  EXPECT_FALSE(contains(narrow.err, "latent dimensions")) << narrow.err;
}

TEST_F(CliEstimators, EvaluateRefuses) {
  const Words command = {"evaluate", "A", "table.csv"};
  expect_refusal(command + Words{"--simulate"}, EX_CONFIG, "--estimator ais");
  expect_refusal(command + Words{"--estimator", "importance", "--samples", "1"}, EX_CONFIG,
                 "draws = 1; expected >= 2");
  expect_refusal(command + Words{"--estimator", "importance", "--samples", "0"}, EX_USAGE,
                 "--samples");
  expect_refusal(command + Words{"--estimator", "hmc", "--samples", "9"}, EX_CONFIG,
                 "draws = 1; expected >= 4");
  expect_refusal(command + Words{"--estimator", "ais", "--samples", "1"}, EX_CONFIG, "chains = 1");
  expect_refusal(command + Words{"--estimator", "ais", "--temperatures", "0"}, EX_USAGE,
                 "--temperatures");
  expect_refusal(command + Words{"--estimator", "hmc", "--fit", "spline"}, EX_USAGE, "spline");
}

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
