// `elbo reproduce` from outside, on stand-ins for the two data sets: what it leaves, that it goes
// on where it was, and what it refuses.
#include <sysexits.h>

#include <cmath>
#include <regex>
#include <set>
#include <sstream>

#include "cli/program_fixture.h"
#include "elbo/io/file_lock.h"

namespace elbo::cli::testing {
namespace {

namespace fs = std::filesystem;

/// Frames of 28 x 20, a bright bar that wanders through them, as float64.
std::string frames_npy(int rows) {
  constexpr int kPixels = 560;
  std::vector<double> values;
  for (int i = 0; i < rows; ++i) {
    const double place = 20 * uniform(static_cast<uint64_t>(i));
    for (int pixel = 0; pixel < kPixels; ++pixel)
      values.push_back(std::abs(pixel % 20 - place) < 3 ? 0.8 : 0.1 + 0.01 * (pixel % 7));
  }
  return npy(values, kPixels);
}

class Reproduce : public ProgramTest {
 protected:
  void SetUp() override {
    const std::string folder = "data/mnist/";
    write(folder + "train-images-idx3-ubyte", pictures_idx(1500));
    write(folder + "train-labels-idx1-ubyte", labels_idx(1500));
    write(folder + "t10k-images-idx3-ubyte", pictures_idx(1100));
    write(folder + "t10k-labels-idx1-ubyte", labels_idx(1100));
    write("data/frey-faces/freyfaces.npy", frames_npy(700));
  }

  static Words command(const std::string& figure, const std::string& out, const std::string& budget,
                       const Words& more = {}) {
    return Words{"reproduce", figure, "--out", out, "--budget", budget, "--threads", "1"} + more;
  }
  /// The lines of a CSV file, each as its cells.
  [[nodiscard]] std::vector<Words> table(const std::string& name) const {
    std::vector<Words> rows;
    std::istringstream in(read(name));
    for (std::string line; std::getline(in, line);) {
      rows.emplace_back();
      std::istringstream cells(line);
      for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(cell);
    }
    return rows;
  }
  /// curve.csv without its third column, the time.
  [[nodiscard]] std::vector<Words> curve(const std::string& out, const std::string& name) const {
    auto rows = table(out + "/runs/" + name + "/curve.csv");
    for (auto& row : rows) row.erase(row.begin() + 2);
    return rows;
  }
};

TEST_F(Reproduce, Figure2HasACurveALearner) {
  const auto text =
      expect_success(command("figure2", "A", "20000", {"--only", "mnist-3,frey-2,frey-last-2"}));
  EXPECT_TRUE(is_png(read("A/figure2.png")));
  EXPECT_TRUE(is_svg(read("A/figure2.svg")));
  const auto rows = table("A/figure2.csv");
  ASSERT_GT(rows.size(), 1U);
  EXPECT_EQ(rows.front().front(), "data");
  std::map<std::string, Words> samples;
  for (size_t i = 1; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), 12U);
    samples[rows[i][0] + "-" + rows[i][1] + "-" + rows[i][2]].push_back(rows[i][3]);
  }
  EXPECT_EQ(samples.size(), 6U);
  // 14 epochs of 1500 rows end at 21000; 67 of 300 at 20100. Batches have 100 rows.
  for (const std::string learner : {"aevb", "wake-sleep"}) {
    EXPECT_EQ(samples["mnist-3-" + learner], (Words{"10000", "17800", "21000"}));
    for (const std::string data : {"frey-2-", "frey-last-2-"})
      EXPECT_EQ(samples[data + learner], (Words{"10000", "17800", "20100"}));
  }
  EXPECT_EQ(table("A/figure2_summary.csv").size(), 4U);
  EXPECT_TRUE(contains(text, "6 of the figure's 26 curves finished; to go: mnist-5-aevb"));
  EXPECT_TRUE(
      contains(text, "go on with: elbo reproduce figure2 --out A --budget 20000 --threads 1\n"))
      << "all that was selected is done: with the others";
  EXPECT_EQ(temporaries(), 0U);

  // The paper's settings, by the preset; the rate is chosen for each curve.
  const auto aevb = settings("A/runs/mnist-3-aevb"), rival = settings("A/runs/mnist-3-wake-sleep");
  const auto frey = settings("A/runs/frey-2-aevb");
  for (const auto& s : {aevb, rival, frey}) {
    EXPECT_EQ(s.at("optimizer"), "adagrad");
    EXPECT_EQ(s.at("weight-prior"), "1");
    EXPECT_EQ(s.at("objective-scale"), "full-data");
    EXPECT_EQ(s.at("batch"), "100");
    EXPECT_TRUE((std::set<std::string>{"0.01", "0.02", "0.1"}.count(s.at("lr"))));
  }
  EXPECT_EQ(aevb.at("learner"), "aevb");
  EXPECT_EQ(rival.at("learner"), "wake-sleep");
  EXPECT_EQ(aevb.at("hidden"), "500");
  EXPECT_EQ(frey.at("hidden"), "200");
  EXPECT_EQ(frey.at("likelihood"), "gaussian-sigmoid");
  const auto description = [&](const std::string& run) {
    return json::parse(read("A/runs/" + run + "/model.json")).at("data");
  };
  for (const std::string run : {"frey-2-aevb", "frey-last-2-aevb"}) {
    EXPECT_EQ(description(run).at("train_rows"), 300);
    EXPECT_EQ(description(run).at("test_rows"), 400);
  }
  EXPECT_NE(description("frey-2-aevb"), description("frey-last-2-aevb"));
  EXPECT_NE(curve("A", "frey-2-aevb"), curve("A", "frey-last-2-aevb"));
  // They are runs like any other.
  expect_success({"sample", "A/runs/mnist-3-aevb", "--out", "s.png"});
}

TEST_F(Reproduce, LearningRaisesTheBound) {
  expect_success(command("figure2", "A", "40000", {"--only", "mnist-5-aevb"}));
  const auto rows = curve("A", "mnist-5-aevb");
  ASSERT_EQ(rows.size(), 5U);
  EXPECT_EQ(rows.back()[0], rows.back()[1]) << "AEVB takes a gradient a sample";
  for (const size_t part : {2U, 5U}) {  // the training and the test bound
    EXPECT_GT(std::stod(rows.back()[part]), std::stod(rows[1][part]));
    EXPECT_LT(std::stod(rows.back()[part]), 0);
    const double variance = std::stod(rows.back()[part + 1]);
    const double draws = std::stod(rows.back()[part + 2]);
    EXPECT_GT(draws, 0);
    EXPECT_GT(variance, draws) << "rows differ by more than draws";
  }
}

TEST_F(Reproduce, WhatIsStoppedGoesOnAsIfItHadNotBeen) {
  const Words only = {"--only", "frey-5"};
  expect_success(command("figure2", "A", "20000", only));
  const std::string stopped_line = "0 of the figure's 26 curves finished";
  const std::string command_line =
      "elbo reproduce figure2 --out S --budget 20000 --only frey-5 --threads 1\n";
  const auto first = elbo(command("figure2", "S", "20000", only), {.stop_at = "chose --lr"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_TRUE(contains(first.out, stopped_line)) << first.out;
  EXPECT_TRUE(contains(first.out, "go on with: " + command_line)) << first.out;
  EXPECT_FALSE(fs::is_empty(file("S/runs/frey-5-aevb/checkpoint")));
  expect_success(command("figure2", "S", "20000", only));
  for (const std::string name : {"frey-5-aevb", "frey-5-wake-sleep"}) {
    EXPECT_EQ(curve("S", name), curve("A", name));
    EXPECT_EQ(read("S/runs/" + name + "/weights.safetensors"),
              read("A/runs/" + name + "/weights.safetensors"));
  }
}

TEST_F(Reproduce, FinishedCurvesAreLeftAsTheyAreAndMoreBudgetGoesOn) {
  const Words only = {"--only", "mnist-3-aevb"};
  expect_success(command("figure2", "A", "12000", only));
  const auto weights = read("A/runs/mnist-3-aevb/weights.safetensors");
  const auto began = fs::last_write_time(file("A/runs/mnist-3-aevb/weights.safetensors"));
  expect_success(command("figure2", "A", "12000", only));
  expect_success(command("figure2", "A", "5000", only));
  EXPECT_EQ(fs::last_write_time(file("A/runs/mnist-3-aevb/weights.safetensors")), began);
  expect_success(command("figure2", "A", "24000", only));
  expect_success(command("figure2", "whole", "24000", only));
  EXPECT_NE(read("A/runs/mnist-3-aevb/weights.safetensors"), weights);
  EXPECT_EQ(read("A/runs/mnist-3-aevb/weights.safetensors"),
            read("whole/runs/mnist-3-aevb/weights.safetensors"));
  auto longer = curve("A", "mnist-3-aevb");
  EXPECT_EQ(std::erase_if(longer, [](const Words& row) { return row[0] == "12000"; }), 1U)
      << "where the first budget ended";
  EXPECT_EQ(longer, curve("whole", "mnist-3-aevb"));
}

TEST_F(Reproduce, APointAfterTheLastCheckpointIsForgotten) {
  const Words only = {"--only", "mnist-3-aevb"};
  expect_success(command("figure2", "A", "12000", only));
  expect_success(command("figure2", "K", "12000", only));
  fs::remove_all(file("K/runs/mnist-3-aevb/checkpoint"));
  fs::remove(file("K/runs/mnist-3-aevb/weights.safetensors"));
  expect_success(command("figure2", "K", "12000", only));
  EXPECT_EQ(curve("K", "mnist-3-aevb"), curve("A", "mnist-3-aevb"));
}

TEST_F(Reproduce, Figure4And5ShareTheirRuns) {
  const auto text = expect_success(command("figure4", "A", "3000"));
  EXPECT_TRUE(is_png(read("A/figure4.png")));
  EXPECT_TRUE(is_svg(read("A/figure4.svg")));
  EXPECT_FALSE(contains(text, "to go")) << text;
  const auto manifold = table("A/figure4-mnist-2.csv");
  EXPECT_EQ(manifold.size(), 400U);
  EXPECT_EQ(manifold.front().size(), 64U);
  EXPECT_EQ(table("A/figure4-frey-2.csv").front().size(), 560U);
  const auto written = fs::last_write_time(file("A/runs/mnist-2-aevb/weights.safetensors"));

  const auto part = json::parse(
      expect_success(command("figure5", "A", "3000", {"--only", "mnist-2,mnist-5", "--json"})));
  EXPECT_EQ(fs::last_write_time(file("A/runs/mnist-2-aevb/weights.safetensors")), written);
  EXPECT_TRUE(is_png(read("A/figure5.png")));
  EXPECT_EQ(part.at("remaining"), json({"mnist-10-aevb", "mnist-20-aevb"}));
  EXPECT_EQ(part.at("files").size(), 4U);
  EXPECT_EQ(table("A/figure5-mnist-5.csv").size(), 100U);
  EXPECT_NE(read("A/figure5-mnist-5.csv"), read("A/figure5-mnist-2.csv"));
}

TEST_F(Reproduce, Figure3HasThreeLearnersOnTwoTrainingSets) {
  const Words only = {"--only", "mnist-1000-3,mnist-50000-3-mcem", "--seeds", "2"};
  const auto text = expect_success(command("figure3", "A", "4000", only));
  EXPECT_TRUE(is_png(read("A/figure3.png")));
  EXPECT_TRUE(is_svg(read("A/figure3.svg")));
  EXPECT_TRUE(contains(text, "8 of the figure's 12 curves finished")) << text;
  const auto rows = table("A/figure3.csv");
  ASSERT_EQ(rows.size(), 1U + 8 * 2) << "two points a curve";
  EXPECT_EQ(rows[0], (Words{"data", "learner", "seed", "samples", "gradient_evaluations", "seconds",
                            "train_log_evidence", "train_variance", "train_draw_variance",
                            "test_log_evidence", "test_variance", "test_draw_variance"}));
  // Of the paper's N = 50000 there are 1500 here, and 1000 of them: 3 and 4 epochs.
  const auto samples = [](const Words& row) { return row[0] == "mnist-1000" ? 4000 : 4500; };
  for (size_t i = 1; i < rows.size(); ++i) {
    const auto& row = rows[i];
    const int64_t seen = std::stoll(row[3]);
    EXPECT_EQ(seen, i % 2 == 1 ? 3200 : samples(row)) << "10^3.5, and the end";
    const int64_t first = row[0] == "mnist-1000" ? 1000 : 1500;
    EXPECT_EQ(std::stoll(row[4]), row[1] == "aevb"         ? seen
                                  : row[1] == "wake-sleep" ? 2 * seen
                                                           : 116 * first + 16 * (seen - first));
    for (const size_t part : {6U, 9U}) {
      EXPECT_LT(std::stod(row[part]), 0);
      EXPECT_GT(std::stod(row[part + 1]), std::stod(row[part + 2])) << "rows above draws";
    }
  }
  // The training rows that points are evaluated on are those of the small set.
  const auto description = [&](const std::string& run) {
    return json::parse(read("A/runs/" + run + "/model.json")).at("data");
  };
  EXPECT_EQ(description("mnist-1000-3-aevb-s1").at("train_rows"), 1000);
  EXPECT_EQ(description("mnist-1000-3-aevb-s1").at("split"),
            "1000 of the first 1500 training rows");
  const auto mcem = settings("A/runs/mnist-50000-3-mcem-s1");
  EXPECT_EQ(mcem.at("hidden"), "100");
  EXPECT_EQ(mcem.at("seed"), "1");
  EXPECT_EQ(mcem.at("chain-start"), "persistent");
  EXPECT_EQ(mcem.at("weight-updates"), "5");
  EXPECT_NE(curve("A", "mnist-1000-3-aevb-s0"), curve("A", "mnist-1000-3-aevb-s1"));

  const auto summary = table("A/figure3_summary.csv");
  ASSERT_EQ(summary.size(), 1U + 4);
  EXPECT_EQ(summary[1][1], "aevb");
  EXPECT_EQ(summary[1][2], "2");
  const auto mean = [&](size_t a, size_t b) {  // of two seeds' last points
    return (std::stod(rows[a][9]) + std::stod(rows[b][9])) / 2;
  };
  EXPECT_NEAR(std::stod(summary[1][8]), mean(2, 4), 1e-9);
  EXPECT_NEAR(std::stod(summary[1][9]),
              std::abs(std::stod(rows[2][9]) - std::stod(rows[4][9])) / std::sqrt(2.0), 1e-9);
}

TEST_F(Reproduce, AStoppedCurveOfFigure3GoesOnAsIfItHadNotBeen) {
  const Words only = {"--only", "mnist-1000-3-mcem", "--seeds", "1"};
  expect_success(command("figure3", "A", "8000", only));
  const auto first = elbo(command("figure3", "S", "8000", only), {.stop_at = "chose --lr"});
  ASSERT_EQ(first.code, 0) << first.err;
  expect_success(command("figure3", "S", "8000", only));
  EXPECT_EQ(curve("S", "mnist-1000-3-mcem-s0"), curve("A", "mnist-1000-3-mcem-s0"));
  EXPECT_EQ(read("S/runs/mnist-1000-3-mcem-s0/weights.safetensors"),
            read("A/runs/mnist-1000-3-mcem-s0/weights.safetensors"));
}

TEST_F(Reproduce, OneProcessTrainsACurve) {
  const Words only = {"--only", "mnist-3-aevb"};
  fs::create_directories(file("A/runs/mnist-3-aevb"));
  auto lock = io::FileLock::try_lock(file("A/runs/mnist-3-aevb/.lock"));
  ASSERT_TRUE(lock);
  expect_refusal(command("figure2", "A", "1500", only), EX_CONFIG,
                 "A/runs/mnist-3-aevb: another process is training this run");
  lock.reset();
  expect_success(command("figure2", "A", "1500", only));
}

TEST_F(Reproduce, Refuses) {
  const auto refuse = [&](const std::string& figure, int code, const std::string& part,
                          const Words& more) {
    expect_refusal(Words{"reproduce", figure, "--out", "B"} + more, code, part);
  };
  refuse("figure9", EX_USAGE, "figure9", {});
  refuse("figure2", EX_CONFIG, "--budget 0; expected", {"--budget", "0"});
  refuse("figure2", EX_CONFIG, "--budget -5; expected", {"--budget", "-5"});
  refuse("figure2", EX_CONFIG, "--budget nan; expected", {"--budget", "nan"});
  refuse("figure2", EX_USAGE, "--budget", {"--budget", "many"});
  refuse("figure2", EX_CONFIG, "--seeds 2: figure2 has one curve of each", {"--seeds", "2"});
  refuse("figure3", EX_USAGE, "--seeds", {"--seeds", "0"});
  refuse("figure2", EX_CONFIG, "--only 'mnist-4'; expected names with commas, of mnist-3 mnist-5",
         {"--only", "frey-2,mnist-4"});
  refuse("figure4", EX_CONFIG, "--only 'mnist-3'", {"--only", "mnist-3"});
  expect_refusal({"reproduce"}, EX_USAGE, "FIGURE");
  fs::remove_all(file("data/frey-faces"));
  refuse("figure2", EX_NOINPUT, "frey-faces", {});
  write("file", "");
  expect_refusal(command("figure2", "file", "100", {"--only", "mnist-3"}), EX_IOERR, "file");
}

TEST_F(Reproduce, RefusesToGoOnWithOtherSettingsOrData) {
  const Words only = {"--only", "mnist-3-aevb"};
  expect_success(command("figure2", "A", "1500", only));
  const auto weights = read("A/runs/mnist-3-aevb/weights.safetensors");
  expect_refusal(command("figure2", "A", "3000", only + Words{"--seed", "1"}), EX_CONFIG,
                 "--seed 0; expected 1; give another --out");
  write("data/mnist/train-images-idx3-ubyte", pictures_idx(1400));
  write("data/mnist/train-labels-idx1-ubyte", labels_idx(1400));
  expect_refusal(command("figure2", "A", "3000", only), EX_CONFIG, "a run on other data");
  write("A/runs/mnist-3-aevb/curve.csv", "nonsense\n");
  expect_refusal(command("figure2", "A", "3000", only), EX_CONFIG, "a run on other data");
  write("data/mnist/train-images-idx3-ubyte", pictures_idx(1500));
  write("data/mnist/train-labels-idx1-ubyte", labels_idx(1500));
  expect_refusal(command("figure2", "A", "3000", only), EX_DATAERR, "curve.csv: line 1");
  EXPECT_EQ(read("A/runs/mnist-3-aevb/weights.safetensors"), weights);
}

}  // namespace
}  // namespace elbo::cli::testing
