// Two pieces of work timed in turn, in one process.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <utility>
#include <vector>

namespace elbo::bench {

/// Milliseconds of each of `count` calls, in the mean.
inline double time(const std::function<void()>& call, int64_t count) {
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < count; ++i) call();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
             .count() /
         static_cast<double>(count);
}

inline double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

/// The 95 % bootstrap interval of the median.
inline std::pair<double, double> interval(const std::vector<double>& x) {
  std::mt19937_64 random(1);
  std::vector<double> medians, draw(x.size());
  for (int i = 0; i < 2000; ++i) {
    for (auto& d : draw) d = x[random() % x.size()];
    medians.push_back(median(draw));
  }
  std::sort(medians.begin(), medians.end());
  return {medians[50], medians[1949]};
}

}  // namespace elbo::bench
