// The learners that `elbo train` knows.
#include <sysexits.h>

#include "cli/program_fixture.h"

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
    EXPECT_GT(metrics(whole).back().at("test_elbo"), metrics(whole).front().at("test_elbo"))
        << kLearners[i][1] << " " << i;
  }
  expect_refusal({"train", "--out", "split0", "--resume", "--learner", "aevb"}, EX_CONFIG,
                 "--learner aevb");
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
}

}  // namespace
}  // namespace elbo::cli::testing
