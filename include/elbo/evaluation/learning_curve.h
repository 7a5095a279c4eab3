// The bound, or log p(x), against samples evaluated, on a logarithmic axis (AEVB figures 2, 3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "elbo/evaluation/elbo.h"
#include "elbo/evaluation/log_evidence.h"

namespace elbo {

/// What a curve is of.
enum class CurveMeasure { kBound, kLogEvidence };

/// A part of the data at one point of a curve. Variances are of `mean`, over its rows: nats^2.
struct CurveValue {
  double mean = 0;           ///< nats per datum
  double variance = 0;       ///< over rows and draws of z: the squared standard error
  double draw_variance = 0;  ///< over the draws alone, the rows as they are

  [[nodiscard]] static CurveValue of(const Evaluation& evaluation);
  [[nodiscard]] static CurveValue of(const EvidenceSummary& evidence);
};

struct CurvePoint {
  int64_t samples = 0;               ///< training rows seen
  int64_t gradient_evaluations = 0;  ///< see Progress; 0 where they were not counted
  double seconds = 0;                ///< spent on updates
  CurveValue train{}, test{};
};

/// By rising samples.
using LearningCurve = std::vector<CurvePoint>;

/// The first of 10^(q/4), 10^((q+1)/4), ... (rounded) above `samples`: four a decade.
[[nodiscard]] int64_t next_curve_point(int64_t samples, int first_quarter = 16);

/// As CSV: a header, then a line a point, numbers to the last bit.
[[nodiscard]] std::string to_csv(const LearningCurve& curve,
                                 CurveMeasure measure = CurveMeasure::kBound);
/// Back again, and from files of before gradient evaluations were counted. **Throws** DataError,
/// beginning with `name` and naming the line, for another header, a line that is no point, or
/// samples that do not rise.
[[nodiscard]] LearningCurve parse_curve(const std::string& csv, const std::string& name,
                                        CurveMeasure measure = CurveMeasure::kBound);
/// The header, without a line's end.
[[nodiscard]] std::string curve_columns(CurveMeasure measure = CurveMeasure::kBound);

/// The first point at `samples` or up to a tenth beyond; none where the curve ends before.
[[nodiscard]] std::optional<CurvePoint> point_at(const LearningCurve& curve, int64_t samples);

/// Where a curve was after so many gradient evaluations: between its points, by linear
/// interpolation over their logarithm; none before the first point and after the last.
[[nodiscard]] std::optional<CurvePoint> point_at_gradients(const LearningCurve& curve,
                                                           int64_t gradient_evaluations);

/// Where a curve's test bound is highest and how far below that it ends.
struct CurvePeak {
  int64_t samples = 0;
  double bound = 0;
  double fall = 0;        ///< of the last point below it, >= 0
  double fall_error = 0;  ///< standard error of `fall` over the draws: all points share their rows
};

/// **Throws** DataError for a curve without points.
[[nodiscard]] CurvePeak peak_of(const LearningCurve& curve);

}  // namespace elbo
