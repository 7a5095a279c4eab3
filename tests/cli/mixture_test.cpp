// Mixtures and linear models by EM: elbo train --model mixture | ppca | fa, elbo cluster.
#include <sysexits.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "cli/program_fixture.h"

namespace elbo::cli::testing {
namespace {

/// Rows around three corners of a square, far apart, as numbers 0, 1, 2, 0, 1, 2, ...
std::string clusters_csv(int rows) {
  std::string text;
  for (int i = 0; i < rows; ++i) {
    const auto u = [&](uint64_t j) { return uniform(static_cast<uint64_t>(2 * i) + j); };
    const double x = (i % 3 == 1 ? 10 : 0) + u(0), y = (i % 3 == 2 ? 10 : 0) + u(1);
    text += std::to_string(x) + "," + std::to_string(y) + "\n";
  }
  return text;
}

/// Counts, a coin and a category in columns, of two kinds of row.
std::string counts_csv(int rows) {
  std::string text;
  for (int i = 0; i < rows; ++i) {
    const auto u = [&](uint64_t j) { return uniform(static_cast<uint64_t>(3 * i) + j); };
    const int kind = i % 2;
    text += std::to_string(static_cast<int>((2 + 12 * kind) * u(0) * 2)) + "," +
            std::to_string(u(1) < 0.2 + 0.6 * kind ? 1 : 0) + "," +
            std::to_string(static_cast<int>(3 * u(2) * (kind == 0 ? 0.5 : 1))) + "\n";
  }
  return text;
}

/// Rows near a plane; one entry in ten is missing if asked.
std::string plane_csv(int rows, double noise, bool gaps) {
  std::string text;
  for (int i = 0; i < rows; ++i) {
    const auto u = [&](uint64_t j) { return 2 * uniform(static_cast<uint64_t>(20 * i) + j) - 1; };
    for (int j = 0; j < 5; ++j) {
      const double x = (1 + j) * u(0) + (j % 2 == 0 ? 2 : -2) * u(1) + noise * u(2 + j);
      const bool missing = gaps && uniform(static_cast<uint64_t>(20 * i + 10 + j)) < 0.1;
      text += (missing ? "nan" : std::to_string(x)) + (j < 4 ? "," : "\n");
    }
  }
  return text;
}

std::vector<double> numbers(const std::string& text) {
  std::vector<double> out;
  std::string word;
  for (const char c : text)
    if (c == ',' || c == '\n') {
      out.push_back(std::stod(word));
      word.clear();
    } else {
      word += c;
    }
  return out;
}

class CliMixture : public ProgramTest {
 protected:
  void SetUp() override {
    write("clusters.csv", clusters_csv(300));
    write("counts.csv", counts_csv(400));
    write("plane.csv", plane_csv(300, 1, false));
    write("gaps.csv", plane_csv(300, 0.1, true));
  }
  static Words train(const std::string& data, const std::string& out, const Words& more = {}) {
    return Words{"train", data, "--out", out, "--model", "mixture", "--threads", "1"} + more;
  }
  json trained(const Words& words) const {
    return json::parse(expect_success(words + Words{"--json"}));
  }
};

TEST_F(CliMixture, FindsClustersAndSaysWhichRowIsWhere) {
  const auto found = trained(train("clusters.csv", "A", {"--components", "3", "--restarts", "3"}));
  EXPECT_EQ(found.at("converged"), true);
  EXPECT_EQ(found.at("free_parameters"), 2 + 3 * 5);
  const auto rows = json::parse(read("A/model.json")).at("data").at("train_rows").get<double>();
  const double whole = 2 * rows * found.at("train_elbo").get<double>();
  EXPECT_NEAR(found.at("bic"), 17 * std::log(rows) - whole, 1e-6);
  EXPECT_NEAR(found.at("aic"), 34 - whole, 1e-6);
  EXPECT_TRUE(found.at("test_elbo").is_number());
  EXPECT_EQ(metrics("A").size(), found.at("epoch"));
  EXPECT_EQ(metrics("A").back(), found);
  for (size_t i = 1; i < metrics("A").size(); ++i)
    EXPECT_GE(metrics("A")[i].at("train_elbo").get<double>(),
              metrics("A")[i - 1].at("train_elbo").get<double>() - 1e-10);
  EXPECT_TRUE(contains(read("A/report.html"), "bic"));
  EXPECT_EQ(temporaries(), 0U);

  const auto sizes = json::parse(
      expect_success({"cluster", "A", "clusters.csv", "--out", "k.csv", "--responsibilities",
                      "r.csv", "--log-densities", "p.csv", "--json"}));
  EXPECT_EQ(sizes.at("sizes"), json({100, 100, 100}));
  const auto k = numbers(read("k.csv")), r = numbers(read("r.csv")), p = numbers(read("p.csv"));
  ASSERT_EQ(k.size(), 300U);
  ASSERT_EQ(r.size(), 900U);
  ASSERT_EQ(p.size(), 300U);
  for (size_t i = 0; i < 300; ++i) {
    EXPECT_EQ(k[i], k[i % 3]) << "rows of one cluster have one component";
    EXPECT_NEAR(r[3 * i + static_cast<size_t>(k[i])], 1, 1e-6);
    EXPECT_NEAR(r[3 * i] + r[3 * i + 1] + r[3 * i + 2], 1, 1e-12);
  }
  const double mean = std::accumulate(p.begin(), p.end(), 0.0) / 300;
  EXPECT_NEAR(sizes.at("log_likelihood"), mean, 1e-12);
  expect_success({"cluster", "A", "clusters.csv", "--responsibilities", "r.npy"});
  EXPECT_EQ(npy_shape(read("r.npy")), "(300, 3)");
}

TEST_F(CliMixture, OtherCommandsKnowItsRuns) {
  expect_success(train("clusters.csv", "A", {"--components", "3", "--covariance", "diagonal"}));
  const auto figures =
      json::parse(expect_success({"evaluate", "A", "clusters.csv", "--part", "test", "--json"}));
  EXPECT_NEAR(figures.at("elbo"), metrics("A").back().at("test_elbo"), 1e-12);
  EXPECT_EQ(figures.at("exact"), true);
  EXPECT_FALSE(figures.contains("kl"));
  EXPECT_TRUE(contains(expect_success({"evaluate", "A", "clusters.csv"}), "log p(x), exact"));
  const auto sampled =
      json::parse(expect_success({"evaluate", "A", "clusters.csv", "--part", "test", "--estimator",
                                  "importance", "--samples", "5", "--json"}));
  EXPECT_NEAR(sampled.at("log_evidence"), figures.at("elbo"), 1e-10) << "the posterior is exact";
  for (const std::string estimator : {"hmc", "ais"})
    expect_refusal({"evaluate", "A", "clusters.csv", "--estimator", estimator}, EX_CONFIG,
                   "mixture's is discrete");
  EXPECT_TRUE(contains(expect_success({"info", "A"}), "mixture"));
  expect_success({"sample", "A", "--count", "500", "--out", "x.csv"});
  const auto x = numbers(read("x.csv"));
  ASSERT_EQ(x.size(), 1000U);
  int near = 0;
  for (size_t i = 0; i < 500; ++i) near += x[2 * i] > 5 ? 1 : 0;
  EXPECT_NEAR(near, 500 / 3.0, 64) << "6.1 standard errors";
  expect_success({"encode", "A", "clusters.csv", "--out", "z.npy"});
  EXPECT_EQ(npy_shape(read("z.npy")), "(300, 3)");
  expect_refusal({"compare", "gradients", "A", "clusters.csv"}, EX_CONFIG, "without gradients");
  expect_success(train("clusters.csv", "two", {"--components", "2"}));
  expect_refusal({"manifold", "two", "--out", "m.npy"}, EX_SOFTWARE, "a component, not a plane");
  expect_refusal({"sample", "A", "--out", "x.png"}, EX_CONFIG, "not pictures");
}

TEST_F(CliMixture, TakesFamiliesAndCovariances) {
  const auto found = trained(
      train("counts.csv", "A", {"--family", "poisson,bernoulli,categorical", "--components", "2"}));
  EXPECT_EQ(found.at("free_parameters"), 1 + 2 + 2 + 2 * 2);
  expect_success({"cluster", "A", "counts.csv"});
  expect_refusal({"sample", "A", "--out", "x.npy"}, EX_SOFTWARE, "several families");
  double before = -1e300;
  for (const std::string covariance : {"spherical", "diagonal", "full"}) {
    const double log_likelihood =
        trained(train("clusters.csv", covariance,
                      {"--components", "3", "--covariance", covariance, "--restarts", "3"}))
            .at("train_elbo");
    EXPECT_GE(log_likelihood, before - 1e-6) << covariance;
    before = log_likelihood;
  }
  expect_success(train("clusters.csv", "tied", {"--components", "3", "--covariance", "tied"}));
}

TEST_F(CliMixture, VariationalBayesKeepsTheComponentsItNeeds) {
  const Words bayes = {"--components",    "9",     "--weights",    "bayes",
                       "--concentration", "0.001", "--iterations", "2000"};
  const auto found = trained(train("clusters.csv", "V", bayes));
  EXPECT_EQ(found.at("components_in_use"), 3);
  EXPECT_EQ(found.at("converged"), true);
  for (const char* of_points : {"bic", "aic", "free_parameters", "repairs"})
    EXPECT_FALSE(found.contains(of_points)) << of_points;
  for (size_t i = 1; i < metrics("V").size(); ++i)
    EXPECT_GE(metrics("V")[i].at("train_elbo").get<double>(),
              metrics("V")[i - 1].at("train_elbo").get<double>() - 1e-10);
  const auto text = expect_success(train("clusters.csv", "C", bayes));
  EXPECT_TRUE(contains(text, "3 of 9 components hold a row or more")) << text;
  EXPECT_EQ(read("V/weights.safetensors"), read("C/weights.safetensors"));

  const auto sizes = json::parse(
      expect_success({"cluster", "V", "clusters.csv", "--log-densities", "p.csv", "--json"}));
  const auto counts = sizes.at("sizes").get<std::vector<int>>();
  EXPECT_EQ(std::count(counts.begin(), counts.end(), 100), 3);
  // Of the predictive density, which the test rows are measured by too.
  const auto all =
      json::parse(expect_success({"evaluate", "V", "clusters.csv", "--part", "all", "--json"}));
  EXPECT_NEAR(sizes.at("log_likelihood"), all.at("elbo"), 1e-10);
  const auto test =
      json::parse(expect_success({"evaluate", "V", "clusters.csv", "--part", "test", "--json"}));
  EXPECT_NEAR(test.at("elbo"), found.at("test_elbo"), 1e-12);
  expect_refusal({"evaluate", "V", "clusters.csv", "--estimator", "importance"}, EX_CONFIG,
                 "predictive density is exact");
  EXPECT_TRUE(contains(expect_success({"info", "V"}), "bayes"));
  expect_success({"sample", "V", "--count", "20", "--out", "x.csv"});
  expect_success({"encode", "V", "clusters.csv", "--out", "z.npy"});
  EXPECT_EQ(trained(train("counts.csv", "D",
                          {"--family", "poisson,bernoulli,categorical", "--weights", "bayes"}))
                .at("converged"),
            true);

  expect_refusal(train("clusters.csv", "B", {"--weights", "bayes", "--family", "gamma"}), EX_CONFIG,
                 "those with a conjugate prior");
  expect_refusal(train("clusters.csv", "B", {"--concentration", "1"}), EX_CONFIG,
                 "--concentration 1: has no effect without --weights bayes");
  expect_refusal(train("clusters.csv", "B", {"--weights", "bayes", "--concentration", "0"}),
                 EX_CONFIG, "expected auto or a number > 0");
}

TEST_F(CliMixture, TheSeedIsTheRun) {
  const Words more = {"--components", "5", "--start", "random", "--seed", "3"};
  expect_success(train("clusters.csv", "A", more));
  expect_success(train("clusters.csv", "again", more));
  EXPECT_EQ(read("A/weights.safetensors"), read("again/weights.safetensors"));
  expect_success(
      train("clusters.csv", "other", {"--components", "5", "--start", "random", "--seed", "4"}));
  EXPECT_NE(read("A/weights.safetensors"), read("other/weights.safetensors"));
}

TEST_F(CliMixture, AStoppedRunKeepsTheBestSoFar) {
  const Words words = train("clusters.csv", "S", {"--components", "8", "--restarts", "1000000"});
  const auto result = elbo(words, {.stop_at = "iteration 1"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(contains(result.err, "iteration 1")) << result.err;
  EXPECT_TRUE(contains(result.out, "log likelihood")) << result.out;
  expect_success({"evaluate", "S", "clusters.csv"});
  expect_refusal({"train", "--out", "S", "--resume"}, EX_CONFIG, "S has ended");
  // Killed: nothing but the settings is left, and it starts again.
  std::filesystem::remove(file("S/weights.safetensors"));
  write("S/model.json", [&] {
    auto run = json::parse(read("S/model.json"));
    run["settings"]["restarts"] = "2";
    return run.dump();
  }());
  expect_success({"train", "--out", "S", "--resume"});
  EXPECT_EQ(metrics("S").front().at("epoch"), 1);
}

TEST_F(CliMixture, RefusesWhatDoesNotFit) {
  const auto refuses = [&](const std::string& data, const Words& more, int code,
                           const std::string& part) {
    expect_refusal(train(data, "B", more), code, part);
  };
  refuses("clusters.csv", {"--latent", "3"}, EX_CONFIG, "--latent 3: has no effect on --model mix");
  refuses("clusters.csv", {"--lr", "0.1"}, EX_CONFIG, "--lr 0.1: has no effect");
  refuses("clusters.csv", {"--learner", "aevb"}, EX_CONFIG, "--learner aevb: expected em");
  refuses("clusters.csv", {"--precision", "float32"}, EX_CONFIG, "expected float64");
  refuses("clusters.csv", {"--family", "cauchy"}, EX_CONFIG, "family = 'cauchy'; expected one of");
  refuses("clusters.csv", {"--family", "normal,gamma,gamma"}, EX_CONFIG, "names 3 columns");
  refuses("clusters.csv", {"--covariance", "round"}, EX_CONFIG, "--covariance = 'round'");
  refuses("clusters.csv", {"--components", "400"}, EX_DATAERR, "as many as components");
  refuses("clusters.csv", {"--family", "poisson"}, EX_DATAERR, "clusters.csv: column 1 holds");
  refuses("gaps.csv", {}, EX_DATAERR, "missing entries");
  expect_refusal({"train", "clusters.csv", "--out", "B", "--components", "3"}, EX_CONFIG,
                 "--components 3: has no effect on --model vae");
  expect_refusal({"train", "clusters.csv", "--out", "B", "--learner", "em"}, EX_CONFIG,
                 "--learner em: expected aevb");
  expect_success({"train", "plane.csv", "--out", "A", "--model", "ppca"});
  expect_refusal({"cluster", "A", "plane.csv"}, EX_CONFIG, "holds a ppca; expected a mixture");
}

TEST_F(CliMixture, LinearModelsByEmInClosedFormAndAsAnAutoEncoder) {
  const auto linear = [](const std::string& out, const Words& more) {
    return Words{"train", "plane.csv", "--out", out, "--threads", "1"} + more;
  };
  const auto closed = trained(linear("closed", {"--model", "ppca", "--learner", "closed-form"}));
  const auto em = trained(linear("em", {"--model", "ppca", "--tolerance", "1e-12"}));
  const auto vae = trained(
      linear("vae", {"--model", "ppca", "--learner", "aevb", "--epochs", "500", "--lr", "0.02"}));
  const auto factors = trained(linear("fa", {"--model", "fa"}));
  const double best = closed.at("train_elbo");
  EXPECT_NEAR(em.at("train_elbo"), best, 1e-8);
  EXPECT_GT(em.at("epoch"), 10);
  EXPECT_NEAR(em.at("bic"), closed.at("bic"), 1e-5);
  EXPECT_EQ(em.at("free_parameters"), 5 * 2 - 1 + 5 + 1);
  EXPECT_GT(vae.at("test_elbo").get<double>(), closed.at("test_elbo").get<double>() - 0.3);
  EXPECT_GE(factors.at("train_elbo").get<double>(), best - 1e-6) << "it has more variances";
  expect_refusal({"train", "gaps.csv", "--out", "B", "--model", "ppca", "--learner", "closed-form"},
                 EX_DATAERR, "expected --learner em");
}

TEST_F(CliMixture, LinearModelsFillInWhatIsMissing) {
  expect_success({"train", "gaps.csv", "--out", "A", "--model", "ppca"});
  const auto exact = json::parse(expect_success({"evaluate", "A", "gaps.csv", "--json"}));
  EXPECT_EQ(exact.at("exact"), true);
  expect_refusal({"evaluate", "A", "gaps.csv", "--estimator", "importance"}, EX_CONFIG,
                 "missing entries");
  expect_success({"reconstruct", "A", "gaps.csv", "--out", "x.csv"});
  const auto whole = numbers(plane_csv(300, 0.1, false)), found = numbers(read("x.csv"));
  const auto mask = numbers([&] {
    auto text = plane_csv(300, 0.1, true);
    for (size_t at = 0; (at = text.find("nan", at)) != std::string::npos;) text.replace(at, 3, "0");
    return text;
  }());
  double error = 0, spread = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    if (mask[i] != 0) continue;  // it was there
    error += (found[i] - whole[i]) * (found[i] - whole[i]);
    spread += whole[i] * whole[i];
  }
  EXPECT_LT(error, 0.01 * spread);
  EXPECT_GT(spread, 0);
}

TEST_F(CliMixture, ClustersRealDigits) {
  const char* folder = std::getenv("ELBO_DATA");
  if (folder == nullptr || !std::filesystem::exists(std::string(folder) + "/mnist"))
    GTEST_SKIP() << "set ELBO_DATA to the folder that holds mnist/";
  std::filesystem::create_directory_symlink(std::filesystem::absolute(folder), file("data"));
  expect_success(train("mnist", "A",
                       {"--family", "bernoulli", "--components", "20", "--binarize", "threshold",
                        "--iterations", "30"}));
  for (const std::string name : {"curve", "components", "reconstructions"})
    EXPECT_TRUE(is_png(read("A/" + name + ".png"))) << name;
  EXPECT_FALSE(exists("A/samples.png"));
  expect_success({"sample", "A", "--count", "9", "--out", "x.png"});
  const auto found = json::parse(expect_success({"cluster", "A", "mnist", "--json"}));
  EXPECT_EQ(found.at("rows"), 10000);
  EXPECT_GT(found.at("purity"), 0.55) << "ten kinds of digit, of which none has more than 0.12";
  EXPECT_GT(found.at("log_likelihood"), -160);
}

}  // namespace
}  // namespace elbo::cli::testing
