#include "elbo/training/trainer.h"

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "elbo/inference/aevb.h"
#include "elbo/io/atomic_file.h"
#include "elbo/models/vae.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

/// A run's parts over small made-up grey rows.
struct SmallRun {
  explicit SmallRun(const fs::path& path, bool open = false,
                    TrainerOptions options = default_options())
      : vae({.data_dim = 6, .latent_dim = 2, .hidden = {8}}, at::kDouble),
        source(rows(), 1.0, data::Binarize::kSample, at::kDouble),
        directory(open ? io::RunDirectory::open(path) : io::RunDirectory::create(path)) {
    initialise_model(vae, nn::Init::kXavier, 1);
    FlatParameters parameters(vae.parameters());
    learner = std::make_unique<Aevb>(vae.model(), vae.guide(), parameters,
                                     make_optimizer("adam", parameters, 0.01));
    trainer = std::make_unique<Trainer>(options, *learner, learner->optimizer(), source, directory);
  }
  static TrainerOptions default_options() {
    return {.epochs = 4, .batch_size = 10, .seed = 3, .schedule = Schedule::kCosine};
  }
  static data::Part rows() {
    data::Part part;
    part.x = Noise(5).uniform({47, 6}, at::kDouble);  // 47: the last batch is smaller
    return part;
  }
  at::Tensor weights() const { return learner->parameters().values().clone(); }

  Vae vae;
  data::BatchSource source;
  io::RunDirectory directory;
  std::unique_ptr<Aevb> learner;
  std::unique_ptr<Trainer> trainer;
};

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest()
      : root_(fs::temp_directory_path() / ("elbo_trainer_test." + std::to_string(getpid()))) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~TrainerTest() override { fs::remove_all(root_); }
  fs::path root_;
};

TEST_F(TrainerTest, SeesEveryRowOnceAnEpochAndWritesALineForEach) {
  SmallRun run(root_ / "a");
  run.trainer->on_epoch = [](const Progress& p) { return nlohmann::json{{"extra", p.epoch * 2}}; };
  int64_t calls = 0;
  run.trainer->on_step = [&](const Progress&) { ++calls; };
  EXPECT_EQ(run.trainer->run(), Outcome::kFinished);
  EXPECT_EQ(calls, 4 * 5);
  const auto metrics = run.directory.read_metrics();
  ASSERT_EQ(metrics.size(), 4u);
  EXPECT_EQ(metrics[3]["samples"], 4 * 47);
  EXPECT_EQ(metrics[1]["extra"], 4);
  EXPECT_NEAR(
      metrics[2]["train_elbo"].get<double>(),
      metrics[2]["train_reconstruction"].get<double>() - metrics[2]["train_kl"].get<double>(),
      1e-10);
}

// Stops in the middle of an epoch and at its end; goes on in fresh objects.
TEST_F(TrainerTest, ResumesBitExactlyFromAnyStep) {
  SmallRun whole(root_ / "whole");
  whole.trainer->run();
  for (const int64_t stop : {1, 5, 7, 19}) {
    const auto path = root_ / ("stopped" + std::to_string(stop));
    {
      SmallRun first(path);
      // A run directory is one by its model.json.
      io::write_file(first.directory.model_json(), std::string_view("{}"));
      first.trainer->should_stop = [&] { return first.trainer->progress().step == stop; };
      ASSERT_EQ(first.trainer->run(), Outcome::kStopped);
      EXPECT_FALSE(first.weights().equal(whole.weights()));
    }
    SmallRun second(path, /*open=*/true);
    ASSERT_TRUE(second.trainer->resume());
    EXPECT_EQ(second.trainer->progress().step, stop);
    ASSERT_EQ(second.trainer->run(), Outcome::kFinished);
    EXPECT_TRUE(second.weights().equal(whole.weights())) << "stopped at " << stop;
    auto a = whole.directory.read_metrics(), b = second.directory.read_metrics();
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      a[i].erase("seconds");
      b[i].erase("seconds");
      EXPECT_EQ(a[i], b[i]);
    }
  }
}

TEST_F(TrainerTest, ABudgetOfSamplesEndsWithinAnEpochAndIsReported) {
  auto options = SmallRun::default_options();
  options.samples = 70;  // an epoch of 47 and three batches of ten
  SmallRun run(root_ / "samples", false, options);
  EXPECT_EQ(run.trainer->run(), Outcome::kFinished);
  const auto metrics = run.directory.read_metrics();
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics[1]["samples"], 77);
  EXPECT_EQ(run.trainer->run(), Outcome::kFinished);  // nothing left to do
  EXPECT_EQ(run.directory.read_metrics().size(), 2u);
}

TEST_F(TrainerTest, GoesOnInTheEpochThatABudgetCutShort) {
  auto options = SmallRun::default_options();
  options.schedule = Schedule::kConstant;
  SmallRun whole(root_ / "whole", false, options);
  whole.trainer->run();
  options.samples = 70;
  {
    SmallRun first(root_ / "longer", false, options);
    io::write_file(first.directory.model_json(), std::string_view("{}"));
    ASSERT_EQ(first.trainer->run(), Outcome::kFinished);
    EXPECT_EQ(first.trainer->progress().epoch, 1);
    EXPECT_EQ(first.directory.read_metrics().back()["epoch"], 2);
  }
  options.samples = 4 * 47;
  SmallRun second(root_ / "longer", /*open=*/true, options);
  ASSERT_TRUE(second.trainer->resume());
  EXPECT_EQ(second.trainer->progress().step, 8);
  ASSERT_EQ(second.trainer->run(), Outcome::kFinished);
  EXPECT_TRUE(second.weights().equal(whole.weights()));
  auto a = whole.directory.read_metrics(), b = second.directory.read_metrics();
  ASSERT_EQ(b.size(), a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    a[i].erase("seconds");
    b[i].erase("seconds");
    EXPECT_EQ(b[i], a[i]);
  }
}

TEST_F(TrainerTest, CountsTheGradientsThatStepsTakeOverAllSittings) {
  SmallRun first(root_ / "gradients");
  io::write_file(first.directory.model_json(), std::string_view("{}"));
  first.trainer->should_stop = [&] { return first.trainer->progress().step == 7; };
  first.trainer->run();
  EXPECT_EQ(first.trainer->progress().gradient_evaluations, 47 + 20) << "one a row";
  SmallRun second(root_ / "gradients", /*open=*/true);
  ASSERT_TRUE(second.trainer->resume());
  second.trainer->run();
  EXPECT_EQ(second.trainer->progress().gradient_evaluations, 4 * 47);
  EXPECT_EQ(second.directory.read_metrics().back()["gradient_evaluations"], 4 * 47);
}

TEST_F(TrainerTest, NanStopsWithTheStepTheTermAndTheLastCheckpoint) {
  SmallRun run(root_ / "nan");
  run.learner->parameters().values().fill_(std::numeric_limits<double>::quiet_NaN());
  try {
    run.trainer->run();
    FAIL();
  } catch (const NumericError& e) {
    const std::string message = e.what();
    EXPECT_NE(message.find("step 0"), std::string::npos) << message;
    EXPECT_NE(message.find("reconstruction"), std::string::npos) << message;
    EXPECT_NE(message.find("no checkpoint"), std::string::npos) << message;
  }
}

TEST_F(TrainerTest, CosineFallsFromTheRateToNearlyZero) {
  SmallRun run(root_ / "cosine");
  std::vector<double> rates;
  run.trainer->on_step = [&](const Progress&) { rates.push_back(run.learner->optimizer().lr); };
  run.trainer->run();
  EXPECT_DOUBLE_EQ(rates.front(), 0.01);
  EXPECT_NEAR(rates[10], 0.005, 1e-15);
  EXPECT_NEAR(rates.back(), 0.005 * (1 + std::cos(M_PI * 19 / 20)), 1e-15);
}

TEST_F(TrainerTest, RefusesCheckpointsOfAnotherModelOrVersion) {
  const auto path = root_ / "other";
  SmallRun first(path);
  io::write_file(first.directory.model_json(), std::string_view("{}"));
  const auto refusal = [&](io::TensorFile file, int64_t step) -> std::string {
    first.directory.save_checkpoint(file, step);
    try {
      (void)first.trainer->resume();
    } catch (const DataError& e) {
      return e.what();
    }
    return "";
  };
  first.trainer->run();
  ASSERT_TRUE(first.trainer->resume());
  auto file = first.directory.latest_checkpoint()->file;
  const auto whole = file;
  const auto name = file.tensors.front().name;

  file.tensors.front().tensor = at::zeros({3}, at::kDouble);
  EXPECT_NE(refusal(file, 21).find("'" + name + "' has another shape"), std::string::npos);
  file.tensors.erase(file.tensors.begin());
  EXPECT_NE(refusal(file, 22).find("no tensor '" + name + "'"), std::string::npos);
  file = whole;
  file.metadata["elbo.format"] = "checkpoint 1";
  EXPECT_NE(refusal(file, 23).find("expected a 'checkpoint 2' of this version, not 'checkpoint 1'"),
            std::string::npos);
  EXPECT_EQ(refusal(whole, 24), "");
}

TEST(ChooseLearningRate, TakesTheBestAndSkipsThoseThatDiverge) {
  const auto attempt = [](double rate) -> std::optional<double> {
    if (rate > 0.05) throw NumericError("diverged");
    return -std::abs(rate - 0.02);
  };
  EXPECT_EQ(choose_learning_rate({0.01, 0.02, 0.1}, attempt), 0.02);
  EXPECT_THROW((void)choose_learning_rate({0.1}, attempt), NumericError);
}

TEST(ChooseLearningRate, EndsWhereAnAttemptIsStopped) {
  int attempts = 0;
  const auto stopped = choose_learning_rate({1, 2, 3}, [&](double rate) -> std::optional<double> {
    ++attempts;
    return rate < 2 ? std::optional<double>(1) : std::nullopt;
  });
  EXPECT_FALSE(stopped);
  EXPECT_EQ(attempts, 2);
}

TEST_F(TrainerTest, FirstUpdatesAreThoseOfTrainingAndMayBeStopped) {
  auto options = SmallRun::default_options();
  options.schedule = Schedule::kConstant;
  SmallRun run(root_ / "run"), same(root_ / "same", false, options);
  std::vector<int64_t> seen;
  const auto mean =
      mean_bound_of_first_updates(*run.learner, run.source, 3, 10, 7, [&](int64_t done) {
        seen.push_back(done);
        return true;
      });
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7}));
  // Of 7 updates the last quarter is the last: the second epoch's second, of as many rows as its
  // first.
  double first = 0, both = 0;
  same.trainer->on_step = [&](const Progress& p) {
    if (p.step == 6) first = p.elbo;
    if (p.step == 7) both = p.elbo;
  };
  same.trainer->run();
  EXPECT_NEAR(mean.value(), 2 * both - first, 1e-10);
  EXPECT_FALSE(mean_bound_of_first_updates(*run.learner, run.source, 3, 10, 7,
                                           [](int64_t done) { return done < 3; }));
}

TEST(TrainerOptions, AreChecked) {
  EXPECT_THROW((TrainerOptions{.epochs = 0}).validate(), ConfigError);
  EXPECT_THROW((TrainerOptions{.batch_size = 0}).validate(), ConfigError);
}

}  // namespace
}  // namespace elbo
