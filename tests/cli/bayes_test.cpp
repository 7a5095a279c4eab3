// `--weights bayes`: a decoder whose weights are latent variables, from training to pictures.
#include <sysexits.h>

#include "cli/program_fixture.h"

namespace elbo::cli::testing {
namespace {

class CliBayes : public ProgramTest {
 protected:
  void SetUp() override { write("pictures.idx", pictures_idx(200)); }

  static Words run(const std::string& out, const std::string& epochs, const Words& more = {}) {
    return Words{"train",         "pictures.idx",
                 "--weights",     "bayes",
                 "--out",         out,
                 "--hidden",      "8",
                 "--latent",      "2",
                 "--lr-schedule", "constant",
                 "--threads",     "1",
                 "--batch",       "20",
                 "--epochs",      epochs} +
           more;
  }
};

TEST_F(CliBayes, LearnsGoesOnToTheBitAndIsUsedAsAnyRun) {
  for (const Words& more : {Words{}, Words{"--update", "alternating", "--objective", "sgvb-a"}}) {
    const std::string name = more.empty() ? "joint" : "alternating";
    const std::string whole = "whole-" + name, split = "split-" + name;
    EXPECT_TRUE(contains(expect_success(run(whole, "6", more)),
                         "elbo evaluate " + whole + " pictures.idx --weights predictive\n"));
    EXPECT_EQ(settings(whole).at("weights"), "bayes");
    expect_success(run(split, "2", more));
    expect_success({"train", "--out", split, "--resume", "--epochs", "6"});
    EXPECT_EQ(read(whole + "/weights.safetensors"), read(split + "/weights.safetensors")) << name;
    EXPECT_GT(metrics(whole).back().at("test_elbo"), metrics(whole).front().at("test_elbo"))
        << name;
  }
  const auto bound = json::parse(
      expect_success({"evaluate", "whole-joint", "pictures.idx", "--samples", "3", "--json"}));
  EXPECT_TRUE(std::isfinite(bound.at("elbo").get<double>()));
  const auto predictive =
      json::parse(expect_success({"evaluate", "whole-joint", "pictures.idx", "--weights",
                                  "predictive", "--samples", "3", "--json"}));
  EXPECT_GT(predictive.at("elbo"), bound.at("elbo"));
  for (const char* estimator : {"elbo", "importance"})
    expect_success({"evaluate", "whole-joint", "pictures.idx", "--limit", "20", "--weights", "mean",
                    "--estimator", estimator, "--samples", "5"});
  expect_success({"sample", "whole-joint", "--out", "samples.png"});
  EXPECT_TRUE(is_png(read("samples.png")));
  expect_success({"reconstruct", "whole-joint", "pictures.idx", "--out", "rows.png"});
  expect_success({"manifold", "whole-joint", "--out", "manifold.png"});
  expect_success({"encode", "whole-joint", "pictures.idx", "--out", "z.npy"});
  expect_success({"decode", "whole-joint", "z.npy", "--out", "x.npy"});
  EXPECT_EQ(npy_shape(read("x.npy")), "(200, 64)");
}

TEST_F(CliBayes, AWeightPriorIsOnTheEncoderAlone) {
  for (const char* prior : {"0", "100"}) expect_success(run(prior, "6", {"--weight-prior", prior}));
  const auto last = [&](const char* name) { return metrics(name).back(); };
  EXPECT_EQ(last("0").at("log_prior"), 0);
  EXPECT_NE(last("100").at("log_prior"), 0);
  EXPECT_LT(last("100").at("test_kl"), last("0").at("test_kl"));
}

TEST_F(CliBayes, RefusesWhatWouldTreatTheWeightsAsOfOneRow) {
  const auto refuses = [&](const Words& more, const std::string& part) {
    expect_refusal(run("B", "1", more), EX_CONFIG, part);
  };
  refuses({"--learner", "wake-sleep"}, "--weights bayes");
  refuses({"--learner", "score-function"}, "expected --learner aevb");
  refuses({"--objective", "iwae"}, "--objective sgvb-a or sgvb-b");
  expect_success(run("A", "1"));
  expect_refusal({"evaluate", "A", "pictures.idx", "--estimator", "importance"}, EX_CONFIG,
                 "--estimator importance");
  expect_refusal(
      {"evaluate", "A", "pictures.idx", "--estimator", "importance", "--weights", "predictive"},
      EX_CONFIG, "expected --weights mean");
  expect_success({"train", "pictures.idx", "--out", "point", "--hidden", "8", "--epochs", "1"});
  expect_refusal({"evaluate", "point", "pictures.idx", "--weights", "mean"}, EX_CONFIG,
                 "--weights mean");
  expect_refusal({"evaluate", "point", "pictures.idx", "--weights", "predictive"}, EX_CONFIG,
                 "--weights predictive");
}

}  // namespace
}  // namespace elbo::cli::testing
