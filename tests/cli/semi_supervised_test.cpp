// Classes from few labels: elbo train --model semi-supervised, classify, styles, sample --classes.
#include <sysexits.h>

#include <cmath>
#include <map>

#include "cli/program_fixture.h"

namespace elbo::cli::testing {
namespace {

/// Pictures of 8 x 8 in turn of three kinds: a bright third of the columns on a dark ground.
std::string kinds_idx(uint32_t rows) {
  std::string pixels;
  for (uint32_t i = 0; i < rows; ++i)
    for (uint32_t pixel = 0; pixel < 64; ++pixel) {
      const bool bright = pixel % 8 / 3 == i % 3;
      pixels += static_cast<char>((bright ? 200 : 5) + 40 * uniform(64 * i + pixel));
    }
  return idx_text(0x08, {rows, 8, 8}, pixels);
}
std::string kind_labels_idx(uint32_t rows) {
  std::string labels;
  for (uint32_t i = 0; i < rows; ++i) labels += static_cast<char>(i % 3);
  return idx_text(0x08, {rows}, labels);
}

class CliSemiSupervised : public ProgramTest {
 protected:
  void SetUp() override {
    write("kinds/train-images-idx3-ubyte", kinds_idx(300));
    write("kinds/train-labels-idx1-ubyte", kind_labels_idx(300));
    write("kinds/t10k-images-idx3-ubyte", kinds_idx(90));
    write("kinds/t10k-labels-idx1-ubyte", kind_labels_idx(90));
  }
  /// With the options of `more`, names and values in turn, in place of or beside the usual ones.
  static Words train(const std::string& out, const Words& more = {}) {
    std::map<std::string, std::string> options = {
        {"--out", out},     {"--model", "semi-supervised"},
        {"--labels", "6"},  {"--latent", "3"},
        {"--hidden", "12"}, {"--batch", "20"},
        {"--epochs", "12"}, {"--lr", "0.01"},
        {"--threads", "1"}};
    for (size_t i = 0; i < more.size(); i += 2) options[more[i]] = more[i + 1];
    Words words = {"train", "kinds"};
    for (const auto& [name, value] : options) words = words + Words{name, value};
    return words;
  }
};

TEST_F(CliSemiSupervised, LearnsClassesAndLeavesPictures) {
  const auto out = expect_success(train("A"));
  EXPECT_TRUE(contains(out, "test error")) << out;
  const auto last = metrics("A").back();
  EXPECT_LT(last.at("test_error").get<double>(), 0.05);
  EXPECT_GT(last.at("train_supervision").get<double>(),
            metrics("A").front().at("train_supervision").get<double>());
  EXPECT_EQ(last.at("samples"), 12 * 294);  // rows without labels
  for (const char* picture : {"classes.png", "styles.png", "samples.png", "reconstructions.png"})
    EXPECT_TRUE(exists(std::string("A/") + picture)) << picture;
  EXPECT_EQ(settings("A").at("activation"), "softplus");

  const auto found =
      json::parse(expect_success({"classify", "A", "kinds", "--part", "test", "--out", "y.csv",
                                  "--probabilities", "q.npy", "--json"}));
  EXPECT_EQ(found.at("rows"), 90);
  EXPECT_EQ(found.at("error"), last.at("test_error"));
  EXPECT_EQ(npy_shape(read("q.npy")), "(90, 3)");
  const auto classes = read("y.csv");
  EXPECT_EQ(std::count(classes.begin(), classes.end(), '\n'), 90);
  EXPECT_TRUE(contains(expect_success({"classify", "A", "kinds", "--part", "test"}), "error "));

  expect_success({"sample", "A", "--classes", "--count", "4", "--out", "c.npy"});
  EXPECT_EQ(npy_shape(read("c.npy")), "(4, 192)");
  expect_success({"sample", "A", "--classes", "--out", "c.png"});
  expect_success({"styles", "A", "kinds", "--count", "5", "--out", "s.npy"});
  EXPECT_EQ(npy_shape(read("s.npy")), "(5, 192)");
  expect_success({"styles", "A", "kinds", "--out", "s.png"});
  // Other commands know its runs.
  const auto figures =
      json::parse(expect_success({"evaluate", "A", "kinds", "--part", "test", "--json"}));
  EXPECT_NEAR(figures.at("elbo"), last.at("test_elbo"), 1e-6);
  const auto evidence =
      json::parse(expect_success({"evaluate", "A", "kinds", "--part", "test", "--limit", "20",
                                  "--estimator", "importance", "--samples", "50", "--json"}));
  EXPECT_TRUE(evidence.at("log_evidence").is_number()) << evidence.dump();
  const auto refused = elbo({"evaluate", "A", "kinds", "--estimator", "hmc"});
  EXPECT_EQ(refused.code, EX_CONFIG);
  EXPECT_TRUE(contains(refused.err, "y is discrete")) << refused.err;
  expect_success({"encode", "A", "kinds", "--out", "z.npy"});
  EXPECT_EQ(npy_shape(read("z.npy")), "(300, 6)");
  expect_success({"decode", "A", "z.npy", "--out", "x.npy"});
  EXPECT_TRUE(exists("A/report.html"));
}

TEST_F(CliSemiSupervised, AlphaWeighsTheMeanOverTheLabels) {
  // One step from weights of 0.01: q(y|x) is nearly even, log q = -log 3, whatever the batch.
  for (const auto& batch : {"20", "7"})
    for (const auto& [alpha, per_batch] :
         std::map<std::string, std::string>{{"0.1", "6"}, {"2", "3"}}) {
      const auto run = "A" + alpha + batch;
      expect_success(train(run, {"--init", "aevb", "--samples", batch, "--batch", batch, "--alpha",
                                 alpha, "--labelled-batch", per_batch}));
      EXPECT_NEAR(metrics(run).back().at("train_supervision").get<double>(),
                  -std::stod(alpha) * std::log(3.0), 0.05 * std::stod(alpha));
    }
  expect_success(train("none", {"--samples", "20", "--alpha", "0"}));
  EXPECT_FALSE(metrics("none").back().contains("train_supervision"));
}

TEST_F(CliSemiSupervised, StacksOnAnAutoEncoder) {
  expect_success({"train", "kinds", "--out", "M1", "--latent", "4", "--hidden", "16", "--epochs",
                  "20", "--lr", "0.01", "--batch", "20", "--threads", "1"});
  const auto words = train("A", {"--stack", "M1", "--epochs", "6"});
  expect_success(words);
  EXPECT_LT(metrics("A").back().at("test_error").get<double>(), 0.1);
  // It stands by itself, and goes on without the run it came from.
  std::filesystem::remove_all(file("M1"));
  expect_success({"classify", "A", "kinds"});
  expect_success({"styles", "A", "kinds", "--out", "s.png"});
}

TEST_F(CliSemiSupervised, GoesOnBitExactly) {
  expect_success({"train", "kinds", "--out", "M1", "--latent", "4", "--hidden", "16", "--epochs",
                  "1", "--threads", "1"});
  for (const Words& more : {Words{}, Words{"--stack", "M1"}}) {
    const std::string whole = "whole" + std::to_string(more.size());
    const std::string parts = "parts" + std::to_string(more.size());
    const auto constant = Words{"--lr-schedule", "constant"} + more;
    expect_success(train(whole, constant + Words{"--samples", "2400"}));
    expect_success(train(parts, constant + Words{"--samples", "1000"}));
    expect_success({"train", "--out", parts, "--resume", "--samples", "2400"});
    EXPECT_EQ(read(whole + "/weights.safetensors"), read(parts + "/weights.safetensors"));
    EXPECT_EQ(metrics(whole).back().at("train_elbo"), metrics(parts).back().at("train_elbo"));
  }
}

TEST_F(CliSemiSupervised, RefusesWhatDoesNotFit) {
  expect_refusal(train("B", {"--labels", "7"}), EX_CONFIG, "multiple of the 3 classes");
  expect_refusal(train("B", {"--labels", "300"}), EX_CONFIG, "less than the 300 rows");
  expect_refusal(train("B", {"--train-rows", "301"}), EX_CONFIG, "--train-rows 301");
  expect_refusal(train("B", {"--objective", "iwae"}), EX_CONFIG, "sgvb-a or sgvb-b");
  expect_refusal(train("B", {"--learner", "wake-sleep"}), EX_CONFIG, "expected aevb");
  expect_refusal(train("B", {"--hidden", "none"}), EX_CONFIG, "one hidden layer or more");
  expect_refusal(train("B", {"--stack", "nowhere"}), EX_NOINPUT, "nowhere");
  expect_refusal(train("B", {"--alpha", "-1"}), EX_CONFIG, "--alpha");
  expect_refusal({"train", "kinds", "--out", "B", "--alpha", "1"}, EX_CONFIG, "has no effect");
  write("plain.csv", table_csv(30, 4));
  expect_refusal({"train", "plain.csv", "--out", "B", "--model", "semi-supervised"}, EX_DATAERR,
                 "no labels");
  expect_success({"train", "kinds", "--out", "V", "--latent", "2", "--hidden", "8", "--epochs", "1",
                  "--train-rows", "50", "--threads", "1"});
  EXPECT_EQ(metrics("V").back().at("samples"), 50);
  expect_refusal({"classify", "V", "kinds"}, EX_CONFIG, "expected a semi-supervised model");
  expect_refusal({"styles", "V", "kinds", "--out", "s.png"}, EX_CONFIG,
                 "expected a semi-supervised");
  expect_refusal({"sample", "V", "--classes", "--out", "s.png"}, EX_CONFIG,
                 "expected a semi-supervised");
  expect_success(train("A", {"--epochs", "1"}));
  expect_refusal(train("B", {"--stack", "A"}), EX_CONFIG, "expected a vae");
}

}  // namespace
}  // namespace elbo::cli::testing
