// The program from outside: what it refuses, what it leaves behind, and that a run is its settings.
#include <sysexits.h>

#include <cmath>
#include <limits>
#include <regex>
#include <set>

#include "cli/program_fixture.h"

namespace elbo::cli::testing {
namespace {

namespace fs = std::filesystem;

const Words kCommands = {"train",       "evaluate", "compare",  "sample",  "manifold",
                         "reconstruct", "encode",   "decode",   "cluster", "reproduce",
                         "info",        "data",     "classify", "styles"};

class Cli : public ProgramTest {
 protected:
  void SetUp() override {
    write("pictures.idx", pictures_idx(300));
    write("table.csv", table_csv(200, 6));
  }

  /// A short run on the pictures, latent 2.
  void train_pictures(const std::string& out, const Words& more = {},
                      const std::string& epochs = "3") const {
    expect_success(Words{"train", "pictures.idx", "--out", out, "--hidden", "8", "--latent", "2",
                         "--epochs", epochs, "--threads", "1"} +
                   more);
  }
};

// ------------------------------------------------------------------ bad input

class CliRefuses : public Cli {
 protected:
  void train(const std::string& data, int code, const std::string& part, const Words& more = {}) {
    expect_refusal(Words{"train", data, "--out", "B", "--hidden", "8", "--epochs", "1"} + more,
                   code, part);
  }
};

TEST_F(CliRefuses, DamagedData) {
  const std::string whole = pictures_idx(300);
  write("short.idx", whole.substr(0, 1000));
  train("short.idx", EX_DATAERR, "short.idx: truncated IDX");
  data::testing::write_gzip(file("whole.idx.gz"), whole);
  const auto packed = read("whole.idx.gz");
  write("short.idx.gz", packed.substr(0, packed.size() / 2));
  train("short.idx.gz", EX_DATAERR, "short.idx.gz: truncated gzip");
  write("word.csv", table_csv(600, 6, 511, "oops"));
  train("word.csv", EX_DATAERR, "word.csv: row 512, column 3");
  write("labels.idx", labels_idx(300));
  train("labels.idx", EX_DATAERR, "labels.idx: holds labels");
  write("empty.csv", "");
  train("empty.csv", EX_DATAERR, "empty.csv: the file is empty");
  std::vector<double> values(60, 0.5);
  values[3 * 6 + 4] = std::numeric_limits<double>::quiet_NaN();
  write("nan.npy", npy(values, 6));
  train("nan.npy", EX_DATAERR, "nan.npy: 1 missing entries (NaN)");
  values[3 * 6 + 4] = std::numeric_limits<double>::infinity();
  write("inf.npy", npy(values, 6));
  train("inf.npy", EX_DATAERR, "inf.npy: row 4");
}

TEST_F(CliRefuses, DataThatDoNotFitTheModel) {
  train("table.csv", EX_DATAERR, "expected values in [0, 1]", {"--likelihood", "bernoulli"});
  train("table.csv", EX_DATAERR, "expected values in [0, 1]", {"--likelihood", "gaussian-sigmoid"});
  write("narrow.csv", table_csv(20, 4));
  train("table.csv", EX_DATAERR, "narrow.csv", {"--test", "narrow.csv"});
}

TEST_F(CliRefuses, MissingData) {
  train("nowhere.idx", EX_NOINPUT, "nowhere.idx: no such data set or file");
  train("digit", EX_NOINPUT, "one of digits, mnist");
  fs::create_directory(file("empty"));
  train("empty", EX_NOINPUT, "folder empty holds no data file");
  train("table.csv", EX_NOINPUT, "nowhere.npy", {"--test", "nowhere.npy"});
  train("mnist", EX_NOINPUT, "ELBO_DATA");
}

TEST_F(CliRefuses, UnknownOptions) {
  train("table.csv", EX_USAGE, "--nope", {"--nope"});
  train("table.csv", EX_USAGE, "--latent", {"--latent"});
  expect_refusal({}, EX_USAGE, "subcommand");
  expect_refusal({"trian"}, EX_USAGE, "subcommand");
  expect_refusal({"train", "table.csv"}, EX_USAGE, "--out");
  expect_refusal({"evaluate", "B"}, EX_USAGE, "DATA");
  expect_refusal({"evaluate", "B", "table.csv", "--estimator", "magic"}, EX_USAGE, "magic");
  const Words sample{"sample", "B", "--out", "x.npy"};
  for (const std::string count : {"0", "-1", "1.5", "1e3", "x", "99999999999999999999"})
    expect_refusal(sample + Words{"--count", count}, EX_USAGE,
                   "--count: '" + count + "'; expected an integer >= 1");
  expect_refusal(sample + Words{"--seed", "-1"}, EX_USAGE, "expected an integer >= 0");
}

TEST_F(CliRefuses, SettingsOutOfRange) {
  train("table.csv", EX_CONFIG, "threads = 100000; expected 0 to 1024", {"--threads", "100000"});
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"latent", "0"},
                                                        {"latent", "abc"},
                                                        {"hidden", ""},
                                                        {"preset", "nonsense"},
                                                        {"lr", "0"},
                                                        {"lr", "nan"},
                                                        {"seed", "-1"},
                                                        {"sigma-min", "auto"},
                                                        {"optimizer", "lion"},
                                                        {"weight-prior", "auto"}})
    expect_refusal({"train", "table.csv", "--out", "B", "--" + name, value}, EX_CONFIG,
                   "--" + name + " = '" + value + "'; expected ");
  expect_refusal({"train", "--out", "B"}, EX_CONFIG, "no DATA");
}

TEST_F(CliRefuses, ConfigFiles) {
  write("unknown.toml", "latent = 3\nlattent = 4\n");
  train("table.csv", EX_CONFIG, "unknown.toml: unknown setting 'lattent'",
        {"--config", "unknown.toml"});
  write("range.toml", "latent = 0\n");
  train("table.csv", EX_CONFIG, "range.toml: --latent = '0'", {"--config", "range.toml"});
  train("table.csv", EX_NOINPUT, "none.toml", {"--config", "none.toml"});
}

TEST_F(CliRefuses, UnwritableRunDirectories) {
  for (const std::string out : {"table.csv/run", "table.csv", "/proc/nope"})
    expect_refusal({"train", "table.csv", "--out", out, "--epochs", "1"}, EX_IOERR, out);
  EXPECT_EQ(read("table.csv"), table_csv(200, 6));
}

TEST_F(CliRefuses, WhatIsNotARun) {
  fs::create_directory(file("empty"));
  for (const std::string run : {"empty", "nowhere", "table.csv"}) {
    expect_refusal({"info", run}, EX_NOINPUT, "not a run directory");
  }
  expect_refusal({"evaluate", "empty", "table.csv"}, EX_NOINPUT, "not a run directory");
  expect_refusal({"train", "--out", "empty", "--resume"}, EX_NOINPUT, "not a run directory");
  write("odd/model.json", "{\"model\": 3}");
  expect_refusal({"info", "odd"}, EX_DATAERR, "odd/model.json");
}

TEST_F(CliRefuses, MisuseOfARun) {
  expect_success(
      {"train", "table.csv", "--out", "A", "--hidden", "8", "--latent", "5", "--epochs", "1"});
  const auto weights = read("A/weights.safetensors");
  expect_refusal({"train", "table.csv", "--out", "A"}, EX_CONFIG, "A: already holds a run");
  expect_refusal({"train", "--out", "A", "--resume", "--latent", "3"}, EX_CONFIG, "--latent 3");
  expect_refusal({"train", "pictures.idx", "--out", "A", "--resume"}, EX_CONFIG, "pictures.idx");
  EXPECT_EQ(read("A/weights.safetensors"), weights);
  expect_refusal({"decode", "A", "table.csv", "--out", "x.npy"}, EX_DATAERR, "6 columns");
  expect_refusal({"manifold", "A", "--out", "x.npy"}, EX_CONFIG, "5");
  expect_refusal({"sample", "A", "--out", "x.txt"}, EX_CONFIG, "x.txt");
  expect_refusal({"sample", "A", "--out", "x.png"}, EX_CONFIG, "not pictures");
  expect_refusal({"sample", "A", "--out", "/proc/x.npy"}, EX_IOERR, "/proc/x.npy");
  expect_refusal({"evaluate", "A", "pictures.idx"}, EX_DATAERR, "expected 6");
  write("A/weights.safetensors", weights.substr(0, weights.size() / 2));
  expect_refusal({"sample", "A", "--out", "x.npy"}, EX_DATAERR, "weights.safetensors");
  for (const std::string left : {"x.npy", "x.txt", "x.png"}) EXPECT_FALSE(exists(left)) << left;
}

TEST_F(CliRefuses, AFullDisk) {
  // 2 kB: model.json or the weights of the first checkpoint fail.
  for (const rlim_t size : {rlim_t{200}, rlim_t{2000}})
    for (const std::string precision : {"float32", "float64"}) {
      const auto result = elbo({"train", "table.csv", "--out", "B", "--hidden", "32", "--epochs",
                                "1", "--precision", precision},
                               {.file_size = size});
      EXPECT_EQ(result.code, EX_IOERR) << result.err;
      EXPECT_TRUE(contains(result.err, "cannot write: File too large")) << result.err;
      EXPECT_FALSE(exists("B"));
      EXPECT_EQ(temporaries(), 0U);
    }
  for (const std::string command : {" data list", " --help", " train --help", " --version"})
    EXPECT_EQ(execute({"sh", "-c", std::string(ELBO_PROGRAM) + command + " >/dev/full"}).code,
              EX_IOERR)
        << command;
}

TEST_F(CliRefuses, AFullFileSystem) {
  fs::create_directory(file("disk"));
  const auto result =
      execute({"sh", "-c",
               std::string(ELBO_PROGRAM) + " train table.csv --out disk/B --hidden 500 --epochs 1; "
                                           "code=$?; ls -A disk; exit $code"},
              {.tmpfs = "disk"});
  if (result.code == kCannotMount) GTEST_SKIP() << "mounting a tmpfs needs root";
  EXPECT_EQ(result.code, EX_IOERR) << result.err;
  EXPECT_TRUE(contains(result.err, "No space left on device")) << result.err;
  EXPECT_EQ(result.out, "");
}

// ------------------------------------------------------------------ the main job

TEST_F(Cli, TrainsAndShowsWhatItLearnt) {
  train_pictures("A", {"--seed", "7"});
  for (const std::string name : {"curve", "samples", "reconstructions", "manifold"})
    EXPECT_TRUE(is_png(read("A/" + name + ".png"))) << name;
  for (const std::string name : {"model.json", "weights.safetensors", "checkpoint"})
    EXPECT_TRUE(exists("A/" + name)) << name;
  const auto report = read("A/report.html");
  EXPECT_TRUE(contains(report, "</html>"));
  EXPECT_FALSE(contains(report, "src=\"http")) << "the page must be self-contained";
  EXPECT_EQ(temporaries(), 0U);

  const auto lines = metrics("A");
  ASSERT_EQ(lines.size(), 3U);
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].at("epoch"), i + 1);
    for (const char* key : {"samples", "seconds", "train_elbo", "test_elbo"})
      EXPECT_TRUE(lines[i].at(key).is_number()) << key;
  }
  EXPECT_GT(lines[2].at("train_elbo"), lines[0].at("train_elbo"));

  const auto figures = json::parse(
      expect_success({"evaluate", "A", "pictures.idx", "--part", "test", "--seed", "7", "--json"}));
  EXPECT_NEAR(figures.at("elbo"), lines[2].at("test_elbo"), 1e-4);
  EXPECT_EQ(figures.at("estimator"), "elbo");
  EXPECT_GT(figures.at("standard_error"), 0);
  const auto info = json::parse(expect_success({"info", "A", "--json"}));
  EXPECT_EQ(info.at("last"), lines[2]);
  EXPECT_EQ(info.at("data").at("train_rows").get<int>() + figures.at("rows").get<int>(), 300);
  EXPECT_EQ(info.at("parameters"), 64 * 8 + 8 + 2 * (8 * 2 + 2) + 2 * 8 + 8 + 8 * 64 + 64);
  EXPECT_TRUE(contains(expect_success({"info", "A"}), "parameters"));
  EXPECT_TRUE(contains(expect_success({"evaluate", "A", "pictures.idx"}), "300 rows"));
}

TEST_F(Cli, CodesSamplesAndPictures) {
  train_pictures("A");
  expect_success({"encode", "A", "pictures.idx", "--out", "z.npy"});
  EXPECT_EQ(npy_shape(read("z.npy")), "(300, 2)");
  expect_success({"encode", "A", "pictures.idx", "--sigma", "--limit", "9", "--out", "z.csv"});
  const auto codes = read("z.csv");
  EXPECT_EQ(std::count(codes.begin(), codes.end(), '\n'), 9);
  EXPECT_EQ(std::count(codes.begin(), codes.end(), ','), 9 * 3);
  expect_success({"decode", "A", "z.npy", "--out", "x.npy"});
  EXPECT_EQ(npy_shape(read("x.npy")), "(300, 64)");
  // A reconstruction is the decoded code.
  expect_success({"encode", "A", "pictures.idx", "--limit", "9", "--out", "z9.npy"});
  expect_success({"decode", "A", "z9.npy", "--out", "x9.npy"});
  expect_success({"reconstruct", "A", "pictures.idx", "--limit", "9", "--out", "r9.npy"});
  EXPECT_EQ(read("x9.npy"), read("r9.npy"));

  expect_success({"sample", "A", "--count", "5", "--out", "s.npy"});
  EXPECT_EQ(npy_shape(read("s.npy")), "(5, 64)");
  expect_success({"sample", "A", "--count", "5", "--means", "--out", "s.csv"});
  const auto samples = read("s.csv");
  EXPECT_EQ(std::count(samples.begin(), samples.end(), '\n'), 5);
  EXPECT_EQ(std::count(samples.begin(), samples.end(), ','), 5 * 63);
  expect_success({"sample", "A", "--count", "5", "--means", "--out", "again.csv"});
  EXPECT_EQ(read("again.csv"), samples);
  expect_success({"sample", "A", "--count", "5", "--means", "--seed", "1", "--out", "other.csv"});
  EXPECT_NE(read("other.csv"), samples);

  expect_success({"manifold", "A", "--side", "4", "--out", "m.npy"});
  EXPECT_EQ(npy_shape(read("m.npy")), "(16, 64)");
  expect_success({"manifold", "A", "--out", "m.png"});
  expect_success({"reconstruct", "A", "pictures.idx", "--out", "r.png"});
  expect_success({"decode", "A", "z.npy", "--out", "d.png"});
  expect_success({"sample", "A", "--count", "1", "--out", "s.png"});
  for (const std::string name : {"m.png", "r.png", "d.png", "s.png"})
    EXPECT_TRUE(is_png(read(name))) << name;
}

TEST_F(Cli, TrainsOnATable) {
  expect_success({"train", "table.csv", "--out", "A", "--likelihood", "gaussian", "--hidden", "8",
                  "--latent", "2", "--epochs", "2"});
  EXPECT_FALSE(exists("A/samples.png"));
  EXPECT_TRUE(exists("A/curve.png"));
  EXPECT_TRUE(exists("A/report.html"));
  EXPECT_GT(metrics("A").back().at("smallest_sigma"), 0);
  expect_success({"train", "table.csv", "--out", "C", "--preset", "aevb", "--hidden", "8",
                  "--latent", "2", "--epochs", "2", "--json"});
  const std::set<std::string> rates = {"0.01", "0.02", "0.1"};
  EXPECT_TRUE(rates.count(settings("C").at("lr"))) << settings("C").at("lr");
}

TEST_F(Cli, KnowsTheBuiltInDigits) {
  const auto set =
      json::parse(expect_success({"data", "info", "digits", "--json", "--picture", "digits.png"}));
  EXPECT_EQ(set.at("train"), 60000);
  EXPECT_EQ(set.at("test"), 10000);
  EXPECT_EQ(set.at("event_shape"), json({28, 28}));
  EXPECT_EQ(set.at("labels"), true);
  EXPECT_TRUE(is_png(read("digits.png")));
  std::set<std::string> names;
  for (const auto& known : json::parse(expect_success({"data", "list", "--json"})))
    names.insert(known.at("name"));
  EXPECT_EQ(names, (std::set<std::string>{"digits", "mnist", "fashion-mnist", "binarized-mnist",
                                          "frey-faces"}));
}

TEST_F(Cli, ReadsMnistsFourFiles) {
  const auto stand_in = [&](const std::string& name, auto write_one) {
    const std::string folder = "data/" + name + "/";
    write_one(folder + "train-images-idx3-ubyte", pictures_idx(200));
    write_one(folder + "train-labels-idx1-ubyte", labels_idx(200));
    write_one(folder + "t10k-images-idx3-ubyte", pictures_idx(50));
    write_one(folder + "t10k-labels-idx1-ubyte", labels_idx(50));
  };
  stand_in("mnist", [&](const std::string& name, const std::string& text) {
    data::testing::write_gzip(file(name + ".gz"), text);
  });
  stand_in("fashion-mnist",
           [&](const std::string& name, const std::string& text) { write(name, text); });
  for (const std::string name : {"mnist", "fashion-mnist"}) {
    expect_success({"train", name, "--out", name, "--hidden", "8", "--epochs", "1"});
    const auto data = json::parse(read(name + "/model.json")).at("data");
    EXPECT_EQ(data.at("train_rows"), 200);
    EXPECT_EQ(data.at("test_rows"), 50);
    const auto figures = json::parse(expect_success({"evaluate", name, name, "--json"}));
    EXPECT_EQ(figures.at("rows"), 50) << "a known set is evaluated on its test part";
  }
  EXPECT_EQ(read("mnist/weights.safetensors"), read("fashion-mnist/weights.safetensors"));
  fs::remove(file("data/mnist/t10k-labels-idx1-ubyte.gz"));
  expect_refusal({"train", "mnist", "--out", "B"}, EX_NOINPUT, "t10k-labels-idx1-ubyte");
  write("data/mnist/t10k-labels-idx1-ubyte", labels_idx(49));
  expect_refusal({"train", "mnist", "--out", "B"}, EX_DATAERR, "expected 50 labels");
}

// ------------------------------------------------------------------ the same run again

class CliRepeats : public Cli {
 protected:
  static constexpr int kEpochs = 8;

  static Words long_run(const std::string& out, const std::string& seed = "3") {
    return {"train",      "pictures.idx",
            "--out",      out,
            "--hidden",   "16",
            "--latent",   "2",
            "--batch",    "2",
            "--epochs",   std::to_string(kEpochs),
            "--binarize", "sample",
            "--threads",  "1",
            "--seed",     seed};
  }
  [[nodiscard]] std::vector<json> metrics_but_time(const std::string& run) const {
    auto lines = metrics(run);
    for (auto& line : lines) line.erase("seconds");
    return lines;
  }
  void expect_same(const std::string& a, const std::string& b) const {
    EXPECT_EQ(read(a + "/weights.safetensors"), read(b + "/weights.safetensors"));
    EXPECT_EQ(metrics_but_time(a), metrics_but_time(b));
  }
};

TEST_F(CliRepeats, AResumedRunIsTheUninterruptedOneToTheBit) {
  expect_success(long_run("A"));
  const auto steps = metrics("A").back().at("step").get<int64_t>();
  const std::regex stopped("stopped at step ([0-9]+); go on with: elbo train --out S --resume\n");
  bool within_an_epoch = false;
  Words command = long_run("S");
  for (int stop = 0; stop < 3; ++stop) {
    const auto result = elbo(command, {.stop_at = " %  epoch"});
    ASSERT_EQ(result.code, 0) << result.err;
    // A thread that computes may have its stack in the middle of the heap (`catch_interrupts`).
    for (const int signal : {SIGINT, SIGTERM})
      EXPECT_TRUE(result.blocked >> (signal - 1) & 1) << signal;
    std::smatch match;
    ASSERT_TRUE(std::regex_match(result.out, match, stopped)) << result.out;
    within_an_epoch = within_an_epoch || std::stoll(match[1]) % (steps / kEpochs) != 0;
    EXPECT_FALSE(fs::is_empty(file("S/checkpoint")));
    command = {"train", "--out", "S", "--resume"};
  }
  EXPECT_TRUE(within_an_epoch);
  expect_success(command);
  expect_same("A", "S");
}

TEST_F(CliRepeats, ARunKilledBeforeItsFirstCheckpointStartsAgain) {
  train_pictures("A");
  train_pictures("K");
  fs::remove_all(file("K/checkpoint"));
  fs::remove(file("K/weights.safetensors"));
  expect_success({"train", "--out", "K", "--resume"});
  expect_same("A", "K");
}

TEST_F(CliRepeats, MoreEpochsGoOnFromTheLast) {
  train_pictures("A", {"--lr-schedule", "constant"}, "5");
  train_pictures("S", {"--lr-schedule", "constant"}, "2");
  expect_success({"train", "--out", "S", "--resume", "--epochs", "5"});
  expect_same("A", "S");
}

TEST_F(CliRepeats, TheSeedIsTheRun) {
  train_pictures("A");
  train_pictures("again");
  expect_same("A", "again");
  train_pictures("other", {"--seed", "1"});
  EXPECT_NE(read("A/weights.safetensors"), read("other/weights.safetensors"));
}

// ------------------------------------------------------------------ settings

TEST_F(Cli, FlagBeforeConfigBeforePresetBeforeDefault) {
  write("run.toml",
        "# a run\npreset = \"aevb\"\nbatch = 50\nlr = 0.02\nhidden = [8, 4]\noptimizer = adam\n");
  expect_success({"train", "table.csv", "--out", "A", "--config", "run.toml", "--batch", "25",
                  "--epochs", "1", "--latent", "2"});
  const auto a = settings("A");
  EXPECT_EQ(a.at("batch"), "25") << "flag over config and preset";
  EXPECT_EQ(a.at("lr"), "0.02") << "config over preset";
  EXPECT_EQ(a.at("optimizer"), "adam") << "config over preset";
  EXPECT_EQ(a.at("hidden"), "8,4") << "config over default";
  EXPECT_EQ(a.at("weight-prior"), "1") << "preset over default";
  EXPECT_EQ(a.at("lr-schedule"), "constant") << "preset over default";
  EXPECT_EQ(a.at("activation"), "tanh") << "default";
  expect_success({"train", "table.csv", "--out", "C", "--config", "run.toml", "--preset", "default",
                  "--epochs", "1"});
  EXPECT_EQ(settings("C").at("weight-prior"), "0") << "a preset by flag over the config's";
}

TEST_F(Cli, TheFlagsAreTheSettings) {
  expect_success({"train", "table.csv", "--out", "A", "--hidden", "8", "--epochs", "1"});
  std::set<std::string> flags, rows;
  const auto help = expect_success({"train", "--help"});
  const std::regex flag("(?:^|\n) +(?:-[a-z],)?--([a-z-]+)");
  for (std::sregex_iterator it(help.begin(), help.end(), flag), end; it != end; ++it)
    flags.insert((*it)[1]);
  const auto saved = settings("A");
  for (const auto& item : saved.items()) rows.insert(item.key());
  for (const std::string own : {"help", "out", "config", "resume", "json"})
    EXPECT_EQ(flags.erase(own), 1U) << own;
  EXPECT_EQ(flags, rows);
}

TEST_F(Cli, EveryCommandHasHelp) {
  for (const auto& command : kCommands) {
    const auto help = expect_success({command, "--help"});
    EXPECT_TRUE(contains(help, "Example: elbo " + command)) << help;
  }
  EXPECT_TRUE(contains(expect_success({"data", "list", "--help"}), "Example: elbo data list"));
  EXPECT_TRUE(contains(expect_success({"data", "info", "--help"}), "Example: elbo data info"));
  const auto help = expect_success({"--help"});
  for (const auto& command : kCommands) EXPECT_TRUE(contains(help, "  " + command)) << command;
  EXPECT_TRUE(std::regex_match(expect_success({"--version"}), std::regex("[0-9.]+\n")));
}

}  // namespace
}  // namespace elbo::cli::testing
