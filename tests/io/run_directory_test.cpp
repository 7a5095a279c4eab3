#include "elbo/io/run_directory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "elbo/error.h"
#include "elbo/io/atomic_file.h"
#include "io/temporary_directory.h"

namespace elbo::io {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

TensorFile weights(double value) { return {.tensors = {{"w", at::full({100}, value)}}}; }

std::string text_of(const fs::path& path) {
  const auto bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(RunDirectory, CreateMakesParentsAndDiscardRemovesThem) {
  const TemporaryDirectory directory;
  for (const char* name : {"a/b/run", "a/b/run/"}) {
    const auto run = RunDirectory::create(directory.path() / name);
    EXPECT_TRUE(fs::is_empty(directory.path() / "a/b/run"));
    write_file(run.model_json(), "{}");
    run.append_metrics({{"epoch", 0}});
    run.discard();
    EXPECT_EQ(directory.entries(), 0U);
  }
}

TEST(RunDirectory, DiscardKeepsCheckpointsOthersFilesAndOpenedRuns) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  write_file(run.model_json(), "{}");
  RunDirectory::open(run.path()).discard();
  EXPECT_TRUE(fs::exists(run.model_json()));
  write_file(run.path() / "notes.txt", "mine");
  run.save_checkpoint(weights(1), 1);
  run.discard();
  EXPECT_TRUE(fs::exists(run.model_json()));
  fs::remove_all(run.checkpoint_dir());
  run.discard();
  EXPECT_FALSE(fs::exists(run.model_json()));
  EXPECT_EQ(text_of(run.path() / "notes.txt"), "mine");
}

TEST(RunDirectory, CreateRefusesRunsFilesAndUnwritablePlaces) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "file", "x");
  EXPECT_THROW((void)RunDirectory::create(directory.path()), ConfigError);
  EXPECT_THROW((void)RunDirectory::create(directory.path() / "file"), IoError);
  EXPECT_THROW((void)RunDirectory::create(directory.path() / "file" / "run"), IoError);
  EXPECT_THROW((void)RunDirectory::create("/proc/run"), IoError);
  write_file(directory.path() / "model.json", "{}");
  try {
    (void)RunDirectory::create(directory.path());
    ADD_FAILURE();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("--resume"), std::string::npos) << error.what();
  }
}

TEST(RunDirectory, OneProcessTrainsIt) {
  const TemporaryDirectory directory;
  {
    const auto run = RunDirectory::create(directory.path() / "run");
    const auto lock = run.lock();
    // What a process killed at once leaves is no reason to refuse; what one at work has is.
    const auto again = RunDirectory::create(directory.path() / "run");
    try {
      const auto second = again.lock();
      ADD_FAILURE();
    } catch (const ConfigError& error) {
      EXPECT_EQ(
          std::string(error.what())
              .find((directory.path() / "run").string() + ": another process is training this run"),
          0U)
          << error.what();
    }
    run.discard();
    EXPECT_EQ(directory.entries(), 0U) << "the lock too";
  }
  const auto run = RunDirectory::create(directory.path() / "run");
  { const auto lock = run.lock(); }
  EXPECT_NO_THROW((void)run.lock());
}

TEST(RunDirectory, CreateOnAFullDiskLeavesNothing) {
  const TemporaryDirectory directory;
  const FileSizeLimit full(0);
  EXPECT_THROW((void)RunDirectory::create(directory.path() / "a" / "run"), IoError);
  EXPECT_EQ(directory.entries(), 0U);
}

TEST(RunDirectory, OpenNeedsAModel) {
  const TemporaryDirectory directory;
  for (const fs::path& path : {directory.path(), fs::path("/absent")}) {
    try {
      (void)RunDirectory::open(path);
      ADD_FAILURE();
    } catch (const NoInputError& error) {
      EXPECT_EQ(error.what(), path.string() + ": not a run directory (no model.json); make one " +
                                  "with `elbo train DATA --out RUN`");
    }
  }
}

TEST(RunDirectory, FiguresArePng) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  EXPECT_EQ(run.figure("curve"), run.path() / "curve.png");
  EXPECT_EQ(run.figure("curve.png"), run.path() / "curve.png");
}

TEST(RunDirectory, MetricsSurviveATornLine) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  EXPECT_TRUE(run.read_metrics().empty());
  run.append_metrics({{"epoch", 0}, {"test_elbo", -120.5}});
  run.append_metrics({{"epoch", 1}});
  const std::string whole = text_of(run.metrics());
  const std::string last = R"({"epoch":2})";
  for (size_t cut = 0; cut <= last.size(); ++cut) {
    write_file(run.metrics(), whole + last.substr(0, cut));
    const size_t complete = cut == last.size() ? 3 : 2;
    EXPECT_EQ(run.read_metrics().size(), complete) << cut;
    run.append_metrics({{"epoch", 9}});
    const auto rows = run.read_metrics();
    ASSERT_EQ(rows.size(), complete + 1) << cut;
    EXPECT_EQ(rows.back(), json({{"epoch", 9}}));
  }
}

TEST(RunDirectory, MetricsRefuseGarbageElsewhere) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  for (const char* text : {"{\"epoch\":0}\ngarbage\n{\"epoch\":1}\n", "{}\n[1]\n"}) {
    write_file(run.metrics(), text);
    try {
      (void)run.read_metrics();
      ADD_FAILURE();
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
    }
  }
}

TEST(RunDirectory, MetricsAreAsBeforeAfterAFullDisk) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  run.append_metrics({{"epoch", 0}});
  const std::string before = text_of(run.metrics());
  {
    const FileSizeLimit full(before.size() + 5);
    EXPECT_THROW(run.append_metrics({{"epoch", 1}}), IoError);
  }
  EXPECT_EQ(text_of(run.metrics()), before);
}

TEST(RunDirectory, TruncateKeepsEpochsUpTo) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  run.truncate_metrics(3);
  for (int epoch = 0; epoch < 6; ++epoch) run.append_metrics({{"epoch", epoch}});
  write_file(run.metrics(), text_of(run.metrics()) + "{\"epo");
  run.truncate_metrics(3);
  EXPECT_EQ(text_of(run.metrics()), "{\"epoch\":0}\n{\"epoch\":1}\n{\"epoch\":2}\n{\"epoch\":3}\n");
}

TEST(RunDirectory, KeepsTheTwoNewestCheckpoints) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  EXPECT_FALSE(run.latest_checkpoint().has_value());
  for (const int64_t step : {5, 10, 123, 1234567}) run.save_checkpoint(weights(step), step);
  EXPECT_TRUE(fs::exists(run.checkpoint_dir() / "step-000123.safetensors"));
  EXPECT_EQ(std::distance(fs::directory_iterator(run.checkpoint_dir()), {}), 2);
  EXPECT_EQ(run.latest_checkpoint()->step, 1234567);
}

TEST(RunDirectory, FallsBackToTheCheckpointBefore) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  run.save_checkpoint(weights(1), 100);
  run.save_checkpoint(weights(2), 200);
  const fs::path newest = run.checkpoint_dir() / "step-000200.safetensors";
  fs::resize_file(newest, fs::file_size(newest) - 1);
  const auto checkpoint = run.latest_checkpoint();
  ASSERT_TRUE(checkpoint.has_value());
  EXPECT_EQ(checkpoint->step, 100);
  EXPECT_EQ(checkpoint->skipped.size(), 1U);
  EXPECT_EQ(checkpoint->file.at("w")[0].item<double>(), 1);

  run.save_checkpoint(weights(3), 150);  // resumed there: the damaged future goes
  EXPECT_FALSE(fs::exists(newest));
  write_file(run.checkpoint_dir() / "step-000100.safetensors", "junk");
  write_file(run.checkpoint_dir() / "step-000150.safetensors", "junk");
  EXPECT_THROW((void)run.latest_checkpoint(), DataError);
}

TEST(RunDirectory, FullDiskKeepsTheCheckpoints) {
  const TemporaryDirectory directory;
  const auto run = RunDirectory::create(directory.path() / "run");
  run.save_checkpoint(weights(1), 1);
  run.save_checkpoint(weights(2), 2);
  {
    const FileSizeLimit full(100);
    EXPECT_THROW(run.save_checkpoint(weights(3), 3), IoError);
  }
  EXPECT_EQ(run.latest_checkpoint()->step, 2);
  EXPECT_EQ(std::distance(fs::directory_iterator(run.checkpoint_dir()), {}), 2);
}

}  // namespace
}  // namespace elbo::io
