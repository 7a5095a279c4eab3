#include "support/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace elbo::cli {
namespace {

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

ProgressBar::ProgressBar() : terminal_(isatty(STDERR_FILENO)), start_(Clock::now()), last_() {}

void ProgressBar::update(const Progress& p, const std::string& label) {
  const auto now = Clock::now();
  if (first_samples_ < 0) {  // a resumed run's rate counts from here
    first_samples_ = p.samples;
    start_ = now;
  }
  const std::chrono::duration<double> since = now - last_, spent = now - start_;
  if (since.count() < (terminal_ ? 0.1 : 5.0) && p.samples < p.total_samples) return;
  last_ = now;
  const double rate =
      spent.count() > 0 ? static_cast<double>(p.samples - first_samples_) / spent.count() : 0;
  const double left = rate > 0 ? static_cast<double>(p.total_samples - p.samples) / rate : 0;
  const double done = static_cast<double>(p.samples) / static_cast<double>(p.total_samples);
  const std::string figures =
      fmt::format("{:3.0f} %  {}{}epoch {}  bound {:.2f}  {:.0f} samples/s  {} left", 100 * done,
                  label, label.empty() ? "" : "  ", p.epoch, p.elbo, rate, duration(left));
  if (!terminal_) {
    fmt::print(stderr, "{}\n", figures);
    return;
  }
  constexpr int kWidth = 24;
  const auto filled = static_cast<int>(done * kWidth);
  std::string bar;
  for (int i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "░";
  fmt::print(stderr, "\r{} {}\x1b[K", bar, figures);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace elbo::cli
