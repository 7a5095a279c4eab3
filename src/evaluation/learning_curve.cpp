#include "elbo/evaluation/learning_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <sstream>

#include "elbo/error.h"

namespace elbo {
namespace {

constexpr size_t kColumns = 8;

/// The numbers of a line; false where one is none or their count is another.
bool parse_line(const std::string& line, std::array<double, kColumns>& values) {
  const char* at = line.data();
  const char* const end = at + line.size();
  for (size_t i = 0; i < kColumns; ++i) {
    const auto [stop, error] = std::from_chars(at, end, values[i]);
    const bool last = i + 1 == kColumns;
    if (error != std::errc() || (last ? stop != end : stop == end || *stop != ',')) return false;
    at = stop + 1;
  }
  return true;
}

}  // namespace

CurveBound CurveBound::of(const Evaluation& evaluation) {
  return {.bound = evaluation.mean,
          .variance = evaluation.standard_error * evaluation.standard_error,
          .draw_variance = evaluation.draw_variance};
}

int64_t next_curve_point(int64_t samples) {
  constexpr int kPerDecade = 4;
  for (int k = 4 * kPerDecade;; ++k) {
    const auto point = std::llround(std::pow(10.0, static_cast<double>(k) / kPerDecade));
    if (point > samples) return point;
  }
}

std::string curve_columns() {
  return "samples,seconds,train_bound,train_variance,train_draw_variance,"
         "test_bound,test_variance,test_draw_variance";
}

std::string to_csv(const LearningCurve& curve) {
  std::string text = curve_columns() + "\n";
  for (const CurvePoint& p : curve)
    text += fmt::format("{},{},{},{},{},{},{},{}\n", p.samples, p.seconds, p.train.bound,
                        p.train.variance, p.train.draw_variance, p.test.bound, p.test.variance,
                        p.test.draw_variance);
  return text;
}

LearningCurve parse_curve(const std::string& csv, const std::string& name) {
  std::istringstream in(csv);
  std::string line;
  std::getline(in, line);
  if (line != curve_columns())
    throw DataError(name + ": line 1: expected the columns " + curve_columns());
  LearningCurve curve;
  for (int64_t number = 2; std::getline(in, line); ++number) {
    std::array<double, kColumns> v{};
    if (!parse_line(line, v))
      throw DataError(fmt::format("{}: line {}: expected {} numbers", name, number, kColumns));
    const auto samples = static_cast<int64_t>(v[0]);
    if (!curve.empty() && samples <= curve.back().samples)
      throw DataError(fmt::format("{}: line {}: {} samples after {}; expected more", name, number,
                                  samples, curve.back().samples));
    curve.push_back({.samples = samples,
                     .seconds = v[1],
                     .train = {v[2], v[3], v[4]},
                     .test = {v[5], v[6], v[7]}});
  }
  return curve;
}

std::optional<CurvePoint> point_at(const LearningCurve& curve, int64_t samples) {
  for (const CurvePoint& p : curve) {
    if (p.samples < samples) continue;
    if (10 * p.samples > 11 * samples) return {};
    return p;
  }
  return {};
}

CurvePeak peak_of(const LearningCurve& curve) {
  if (curve.empty()) throw DataError("peak_of: a curve without points");
  const CurvePoint& last = curve.back();
  const CurvePoint& peak = *std::max_element(
      curve.begin(), curve.end(),
      [](const CurvePoint& a, const CurvePoint& b) { return a.test.bound < b.test.bound; });
  const bool fell = &peak != &last;
  return {.samples = peak.samples,
          .bound = peak.test.bound,
          .fall = peak.test.bound - last.test.bound,
          .fall_error = fell ? std::sqrt(peak.test.draw_variance + last.test.draw_variance) : 0};
}

}  // namespace elbo
