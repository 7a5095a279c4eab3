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

bool ProgressBar::due(bool last) {
  const auto now = Clock::now();
  const std::chrono::duration<double> since = now - last_;
  if (since.count() < (terminal_ ? 0.1 : 5.0) && !last) return false;
  last_ = now;
  return true;
}

double ProgressBar::seconds_spent() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void ProgressBar::update(const Progress& p, const std::string& label) {
  if (first_samples_ < 0) {  // a resumed run's rate counts from here
    first_samples_ = p.samples;
    start_ = Clock::now();
  }
  if (!due(p.samples >= p.total_samples)) return;
  const double spent = seconds_spent();
  const double rate = spent > 0 ? static_cast<double>(p.samples - first_samples_) / spent : 0;
  const double left = rate > 0 ? static_cast<double>(p.total_samples - p.samples) / rate : 0;
  const double done = static_cast<double>(p.samples) / static_cast<double>(p.total_samples);
  write(done, fmt::format("{:3.0f} %  {}{}epoch {}  {} {:.2f}  {:.0f} samples/s  {} left",
                          100 * done, label, label.empty() ? "" : "  ", p.epoch, quantity, p.elbo,
                          rate, duration(left)));
}

void ProgressBar::update(int64_t done, int64_t total, const std::string& things) {
  const double spent = seconds_spent();
  if (spent < 2 || done == 0 || !due(false)) return;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  write(share, fmt::format("{:3.0f} %  {} of {} {}  {} left", 100 * share, done, total, things,
                           duration(spent * (1 - share) / share)));
}

void ProgressBar::update(double done, const std::string& figures) {
  if (due(done >= 1)) write(done, fmt::format("{:3.0f} %  {}", 100 * done, figures));
}

void ProgressBar::write(double done, const std::string& figures) {
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
