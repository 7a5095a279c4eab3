#pragma once

#include <chrono>
#include <string>

#include "elbo/training/trainer.h"

namespace elbo::cli {

/// Progress on standard error: one line redrawn on a terminal, else a plain line every few seconds.
class ProgressBar {
 public:
  ProgressBar();
  /// Of training; `label` comes before the figures.
  void update(const Progress& progress, const std::string& label = "");
  /// Of a command that has done so many of `total` things ("rows"); silent for its first two
  /// seconds.
  void update(int64_t done, int64_t total, const std::string& things);
  /// Of anything else: the share that is done, and the words that follow it.
  void update(double done, const std::string& figures);
  /// Clears the line, so that other output may follow.
  void clear();

  std::string quantity = "bound";  ///< what Progress::elbo is

 private:
  using Clock = std::chrono::steady_clock;
  /// Whether to write now.
  [[nodiscard]] bool due(bool last);
  void write(double done, const std::string& figures);
  [[nodiscard]] double seconds_spent() const;

  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_, last_;
  int64_t first_samples_ = -1;
};

}  // namespace elbo::cli
