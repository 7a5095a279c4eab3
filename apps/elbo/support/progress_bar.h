#pragma once

#include <chrono>
#include <string>

#include "elbo/training/trainer.h"

namespace elbo::cli {

/// Training's progress on standard error: one line redrawn on a terminal, else a plain line every
/// few seconds.
class ProgressBar {
 public:
  ProgressBar();
  /// `label` comes before the figures.
  void update(const Progress& progress, const std::string& label = "");
  /// Clears the line, so that other output may follow.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_, last_;
  int64_t first_samples_ = -1;
};

}  // namespace elbo::cli
