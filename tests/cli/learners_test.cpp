// The learners that `elbo train` knows.
#include <sysexits.h>

#include "cli/program_fixture.h"
#include "elbo/io/file_lock.h"

namespace elbo::cli::testing {
namespace {

class CliLearners : public ProgramTest {
 protected:
  void SetUp() override { write("pictures.idx", pictures_idx(200)); }

  static Words run(const std::string& out, const std::string& epochs, const Words& learner) {
    return Words{"train",         "pictures.idx",
                 "--out",         out,
                 "--hidden",      "8",
                 "--latent",      "2",
                 "--lr-schedule", "constant",
                 "--threads",     "1",
                 "--batch",       "20",
                 "--epochs",      epochs} +
           learner;
  }
  void refuses(const Words& learner, const std::string& part) const {
    expect_refusal(run("B", "1", learner), EX_CONFIG, part);
  }
};

const std::vector<Words> kLearners = {
    {"--learner", "wake-sleep"},
    {"--learner", "rws", "--mc-samples", "3"},
    {"--learner", "rws", "--mc-samples", "3", "--guide-phase", "wake"},
    {"--learner", "score-function"},
    {"--learner", "score-function", "--baseline", "linear", "--update", "alternating"},
    {"--learner", "score-function", "--baseline", "leave-one-out", "--mc-samples", "3"},
    {"--learner", "mcem"},
    {"--learner", "mcem", "--chain-start", "persistent", "--transitions", "2", "--burn-in", "3"},
};

TEST_F(CliLearners, EachLearnsAndItsResumedRunIsTheUninterruptedOneToTheBit) {
  for (size_t i = 0; i < kLearners.size(); ++i) {
    const std::string whole = "whole" + std::to_string(i), split = "split" + std::to_string(i);
    expect_success(run(whole, "6", kLearners[i]));
    EXPECT_EQ(settings(whole).at("learner"), kLearners[i][1]);
    expect_success(run(split, "2", kLearners[i]));
    expect_success({"train", "--out", split, "--resume", "--epochs", "6"});
    EXPECT_EQ(read(whole + "/weights.safetensors"), read(split + "/weights.safetensors"))
        << kLearners[i][1] << " " << i;
    const char* learnt = kLearners[i][1] == "mcem" ? "train_elbo" : "test_elbo";
    EXPECT_GT(metrics(whole).back().at(learnt), metrics(whole).front().at(learnt))
        << kLearners[i][1] << " " << i;
  }
  expect_refusal({"train", "--out", "split0", "--resume", "--learner", "aevb"}, EX_CONFIG,
                 "--learner aevb");
}

TEST_F(CliLearners, McemReportsItsChainsAndLogPOfXInsteadOfABoundItHasNoGuideFor) {
  const Words mcem = {"--learner", "mcem", "--lr", "0.005"};
  const auto text = expect_success(run("M", "5", mcem));
  EXPECT_TRUE(contains(text, "elbo evaluate M pictures.idx --estimator hmc")) << text;
  const auto lines = metrics("M");
  const auto& last = lines.back();
  EXPECT_FALSE(last.contains("test_elbo"));
  EXPECT_NEAR(last.at("acceptance").get<double>(), 0.9, 0.15);
  EXPECT_GT(last.at("step_size"), 0);
  // 1 at the start, 11 transitions of 10 steps, 5 updates: of each row at each visit.
  EXPECT_EQ(last.at("gradient_evaluations"), last.at("samples").get<int64_t>() * 116);
  EXPECT_FALSE(exists("M/reconstructions.png"));
  const auto log_p = [&](const std::string& out) {
    return json::parse(expect_success({"evaluate", out, "pictures.idx", "--estimator", "hmc",
                                       "--limit", "20", "--samples", "800", "--json"}))
        .at("log_evidence")
        .get<double>();
  };
  expect_success(run("short", "1", mcem));
  EXPECT_GT(log_p("M"), log_p("short") + 3);
}

TEST_F(CliLearners, PersistentChainsOfMcemBurnInOnce) {
  const Words mcem = {"--learner", "mcem", "--chain-start", "persistent"};
  expect_success(run("P", "3", mcem));
  const auto lines = metrics("P");
  const int64_t rows = lines[0].at("samples");
  EXPECT_EQ(lines[0].at("gradient_evaluations"), rows * 116);
  EXPECT_EQ(lines[2].at("gradient_evaluations"), rows * (116 + 16 + 16));
}

TEST_F(CliLearners, ARunThatEndedInsideAnEpochMayBeProlonged) {
  expect_success(run("whole", "3", {}));
  expect_success(run("longer", "3", {"--samples", "250"}));
  expect_success({"train", "--out", "longer", "--resume", "--samples", "0", "--epochs", "3"});
  EXPECT_EQ(read("longer/weights.safetensors"), read("whole/weights.safetensors"));
  EXPECT_EQ(metrics("longer").size(), 3U);
}

TEST_F(CliLearners, ARunIsTrainedByOneProcess) {
  expect_success(run("L", "1", {}));
  auto lock = io::FileLock::try_lock(file("L/.lock"));
  ASSERT_TRUE(lock);
  expect_refusal({"train", "--out", "L", "--resume", "--epochs", "2"}, EX_CONFIG,
                 "L: another process is training this run; wait for it");
  lock.reset();
  expect_success({"train", "--out", "L", "--resume", "--epochs", "2"});
}

TEST_F(CliLearners, TheChoiceOfTheRateShowsItselfAndMayBeStopped) {
  // Enough work for the two seconds after which the progress is shown.
  const Words slow = {"train",         "pictures.idx", "--out",    "B",         "--lr",      "auto",
                      "--lr-schedule", "constant",     "--hidden", "3000,3000", "--threads", "1"};
  const auto stopped = elbo(slow, {.stop_at = "updates to choose --lr"});
  EXPECT_EQ(stopped.code, 0) << stopped.err;
  EXPECT_TRUE(contains(stopped.err, "updates to choose --lr")) << stopped.err;
  EXPECT_EQ(stopped.out, "stopped while choosing --lr: nothing was kept\n");
  EXPECT_FALSE(exists("B"));
}

TEST_F(CliLearners, RefuseSettingsOfOneAnother) {
  refuses({"--learner", "sleep"}, "--learner = 'sleep'; expected aevb | wake-sleep");
  refuses({"--learner", "wake-sleep", "--objective", "iwae"}, "--objective iwae");
  refuses({"--learner", "wake-sleep", "--mc-samples", "4"}, "expected --learner rws");
  refuses({"--learner", "rws"}, "--mc-samples 1");
  refuses({"--learner", "rws", "--mc-samples", "4", "--update", "alternating"},
          "--update alternating");
  refuses({"--learner", "score-function", "--baseline", "leave-one-out"}, "--mc-samples 1");
  refuses({"--baseline", "none"}, "--baseline none");
  refuses({"--learner", "wake-sleep", "--guide-phase", "wake"}, "--guide-phase wake");
  refuses({"--transitions", "2"}, "--transitions 2: with --learner aevb it has no effect");
  refuses({"--learner", "mcem", "--mc-samples", "4"}, "expected 1, or more --transitions");
  refuses({"--learner", "mcem", "--guide-phase", "wake"}, "--guide-phase wake");
  refuses({"--learner", "mcem", "--update", "alternating"}, "--update alternating");
  refuses({"--learner", "mcem", "--precision", "bfloat16"}, "--precision bfloat16");
  refuses({"--learner", "mcem", "--target-acceptance", "1"}, "--target-acceptance 1; expected");
  refuses({"--learner", "mcem", "--chain-start", "guide"}, "expected prior | persistent");
  refuses({"--device", "cuda", "--learner", "mcem"}, "not --learner mcem");
  refuses({"--device", "cuda", "--precision", "bfloat16"}, "not --precision bfloat16");
  if (!at::hasCUDA()) refuses({"--device", "cuda"}, "--device cuda: this ");
}

}  // namespace
}  // namespace elbo::cli::testing
