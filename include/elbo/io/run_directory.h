// A run directory: what `elbo train` leaves behind, plain files in fixed places.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/io/file_lock.h"
#include "elbo/io/safetensors.h"

namespace elbo::io {

/// A checkpoint that could be read, and why any newer ones could not.
struct Checkpoint {
  int64_t step = 0;
  TensorFile file;
  std::vector<std::string> skipped;  ///< one message a damaged newer checkpoint
};

class RunDirectory {
 public:
  static constexpr size_t kCheckpointsKept = 2;

  /// Makes `path` (and its parents) for a new run and proves that a file can be written there; when
  /// it cannot, nothing is left behind.
  /// Throws: ConfigError when it already holds a run or other files than a lock's; IoError when it
  /// is a file or cannot be written.
  [[nodiscard]] static RunDirectory create(const std::filesystem::path& path);

  /// An existing run. Throws: NoInputError when there is no model.json in it.
  [[nodiscard]] static RunDirectory open(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path model_json() const { return path_ / "model.json"; }
  [[nodiscard]] std::filesystem::path weights() const { return path_ / "weights.safetensors"; }
  [[nodiscard]] std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  [[nodiscard]] std::filesystem::path checkpoint_dir() const { return path_ / "checkpoint"; }
  [[nodiscard]] std::filesystem::path report() const { return path_ / "report.html"; }
  /// RUN/NAME.png
  [[nodiscard]] std::filesystem::path figure(std::string_view name) const;

  /// Adds one line to metrics.jsonl and syncs it; a torn last line is repaired first, and after a
  /// failure the file is as it was. Throws: IoError.
  void append_metrics(const nlohmann::json& metrics) const;

  /// The objects of metrics.jsonl, none when there is no file yet. A last line cut off by a crash
  /// is left out. Throws: DataError for any other line that is not an object.
  [[nodiscard]] std::vector<nlohmann::json> read_metrics() const;

  /// Keeps the lines whose "epoch" is at most `after_epoch`, as a run does that resumes there.
  void truncate_metrics(int64_t after_epoch) const;

  /// Writes checkpoint/step-000123.safetensors, then removes all but the newest two and any of a
  /// later step. Throws: IoError; the checkpoints there were then remain.
  void save_checkpoint(const TensorFile& file, int64_t step) const;

  /// The newest checkpoint that can be read, nothing when there is none.
  /// Throws: DataError when there are some but all are damaged.
  [[nodiscard]] std::optional<Checkpoint> latest_checkpoint() const;

  /// Keeps other processes from training the same run while it lives.
  /// Throws: ConfigError where another holds it; IoError.
  [[nodiscard]] FileLock lock() const;

  /// For a run that failed early: removes the run's files, and the directories that `create` made,
  /// unless there is a checkpoint or other files are in them. Does nothing after `open`.
  void discard() const noexcept;

 private:
  explicit RunDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  bool created_ = false;                     // by this process: discard may act
  std::vector<std::filesystem::path> made_;  // directories made, outermost first
};

}  // namespace elbo::io
