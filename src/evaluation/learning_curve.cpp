#include "elbo/evaluation/learning_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>
#include <string_view>

#include "elbo/error.h"

namespace elbo {
namespace {

constexpr size_t kColumns = 9;
constexpr const char* kGradients = "gradient_evaluations,";

/// The numbers of a line; false where one is none or their count is another.
bool parse_line(const std::string& line, std::vector<double>& values) {
  const char* at = line.data();
  const char* const end = at + line.size();
  for (size_t i = 0; i < values.size(); ++i) {
    const auto [stop, error] = std::from_chars(at, end, values[i]);
    const bool last = i + 1 == values.size();
    if (error != std::errc() || (last ? stop != end : stop == end || *stop != ',')) return false;
    at = stop + 1;
  }
  return true;
}

double between(double a, double b, double share) { return a + share * (b - a); }

CurveValue between(const CurveValue& a, const CurveValue& b, double share) {
  return {.mean = between(a.mean, b.mean, share),
          .variance = between(a.variance, b.variance, share),
          .draw_variance = between(a.draw_variance, b.draw_variance, share)};
}

}  // namespace

CurveValue CurveValue::of(const Evaluation& evaluation) {
  return {.mean = evaluation.mean,
          .variance = evaluation.standard_error * evaluation.standard_error,
          .draw_variance = evaluation.draw_variance};
}

CurveValue CurveValue::of(const EvidenceSummary& evidence) {
  return {.mean = evidence.mean,
          .variance = evidence.standard_error * evidence.standard_error,
          .draw_variance = evidence.draws_error * evidence.draws_error};
}

int64_t next_curve_point(int64_t samples, int first_quarter) {
  for (int k = first_quarter;; ++k) {
    const auto point = std::llround(std::pow(10.0, k / 4.0));
    if (point > samples) return point;
  }
}

std::string curve_columns(CurveMeasure measure) {
  const std::string value = measure == CurveMeasure::kBound ? "bound" : "log_evidence";
  return std::string("samples,") + kGradients + "seconds,train_" + value +
         ",train_variance,train_draw_variance,test_" + value + ",test_variance,test_draw_variance";
}

std::string to_csv(const LearningCurve& curve, CurveMeasure measure) {
  std::string text = curve_columns(measure) + "\n";
  for (const CurvePoint& p : curve)
    text += fmt::format("{},{},{},{},{},{},{},{},{}\n", p.samples, p.gradient_evaluations,
                        p.seconds, p.train.mean, p.train.variance, p.train.draw_variance,
                        p.test.mean, p.test.variance, p.test.draw_variance);
  return text;
}

LearningCurve parse_curve(const std::string& csv, const std::string& name, CurveMeasure measure) {
  std::istringstream in(csv);
  std::string line;
  std::getline(in, line);
  const auto expected = curve_columns(measure);
  auto earlier = expected;
  earlier.erase(earlier.find(kGradients), std::string_view(kGradients).size());
  if (line != expected && line != earlier)
    throw DataError(name + ": line 1: expected the columns " + expected);
  std::vector<double> v(line == expected ? kColumns : kColumns - 1);
  LearningCurve curve;
  for (int64_t number = 2; std::getline(in, line); ++number) {
    if (!parse_line(line, v))
      throw DataError(fmt::format("{}: line {}: expected {} numbers", name, number, v.size()));
    const auto samples = static_cast<int64_t>(v[0]);
    if (!curve.empty() && samples <= curve.back().samples)
      throw DataError(fmt::format("{}: line {}: {} samples after {}; expected more", name, number,
                                  samples, curve.back().samples));
    const double* values = &v[v.size() - 7];  // behind the counts
    curve.push_back({.samples = samples,
                     .gradient_evaluations = v.size() == kColumns ? static_cast<int64_t>(v[1]) : 0,
                     .seconds = values[0],
                     .train = {values[1], values[2], values[3]},
                     .test = {values[4], values[5], values[6]}});
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

std::optional<CurvePoint> point_at_gradients(const LearningCurve& curve,
                                             int64_t gradient_evaluations) {
  const auto at = std::find_if(curve.begin(), curve.end(), [&](const CurvePoint& p) {
    return p.gradient_evaluations >= gradient_evaluations;
  });
  if (at == curve.end()) return {};
  if (at->gradient_evaluations == gradient_evaluations) return *at;
  if (at == curve.begin() || (at - 1)->gradient_evaluations < 1) return {};
  const CurvePoint &a = *(at - 1), &b = *at;
  const auto log = [](int64_t count) { return std::log(static_cast<double>(count)); };
  const double from = log(a.gradient_evaluations), to = log(b.gradient_evaluations);
  const double share = (log(gradient_evaluations) - from) / (to - from);
  return CurvePoint{.samples = std::llround(between(static_cast<double>(a.samples),
                                                    static_cast<double>(b.samples), share)),
                    .gradient_evaluations = gradient_evaluations,
                    .seconds = between(a.seconds, b.seconds, share),
                    .train = between(a.train, b.train, share),
                    .test = between(a.test, b.test, share)};
}

CurvePeak peak_of(const LearningCurve& curve) {
  if (curve.empty()) throw DataError("peak_of: a curve without points");
  const CurvePoint& last = curve.back();
  const CurvePoint& peak = *std::max_element(
      curve.begin(), curve.end(),
      [](const CurvePoint& a, const CurvePoint& b) { return a.test.mean < b.test.mean; });
  const bool fell = &peak != &last;
  return {.samples = peak.samples,
          .bound = peak.test.mean,
          .fall = peak.test.mean - last.test.mean,
          .fall_error = fell ? std::sqrt(peak.test.draw_variance + last.test.draw_variance) : 0};
}

}  // namespace elbo
