// The bound against samples evaluated, on a logarithmic axis (AEVB figures 2 and 3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "elbo/evaluation/elbo.h"

namespace elbo {

/// A part of the data at one point of a curve. Variances are of `bound`, the mean over rows:
/// nats^2.
struct CurveBound {
  double bound = 0;          ///< nats per datum
  double variance = 0;       ///< over rows and draws of z: the squared standard error
  double draw_variance = 0;  ///< over the draws alone, the rows as they are

  [[nodiscard]] static CurveBound of(const Evaluation& evaluation);
};

struct CurvePoint {
  int64_t samples = 0;  ///< training rows seen
  double seconds = 0;   ///< spent on updates
  CurveBound train{}, test{};
};

/// By rising samples.
using LearningCurve = std::vector<CurvePoint>;

/// The first of 10^4, 10^4.25, 10^4.5, ... (rounded) above `samples`.
[[nodiscard]] int64_t next_curve_point(int64_t samples);

/// As CSV: a header, then a line a point, numbers to the last bit.
[[nodiscard]] std::string to_csv(const LearningCurve& curve);
/// Back again. **Throws** DataError, beginning with `name` and naming the line, for another header,
/// a line that is no point, or samples that do not rise.
[[nodiscard]] LearningCurve parse_curve(const std::string& csv, const std::string& name);
/// The header, without a line's end.
[[nodiscard]] std::string curve_columns();

/// The first point at `samples` or up to a tenth beyond; none where the curve ends before.
[[nodiscard]] std::optional<CurvePoint> point_at(const LearningCurve& curve, int64_t samples);

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
