// Blocks of numbers between a tensor and the float64 that formulas compute in.
#pragma once

#include <cstdint>

#include "elbo/kernels/pack.h"

namespace elbo::blocks {

/// Elements that stay in the first cache between the steps of a pass.
constexpr int64_t kSize = 128;

/// The count rounded up to whole packs, which is what formulas take.
constexpr int64_t padded(int64_t count) {
  return (count + math::WidePack::kLanes - 1) / math::WidePack::kLanes * math::WidePack::kLanes;
}
/// Repeats the last of `count` numbers up to the next whole pack.
inline void pad(double* x, int64_t count) {
  for (int64_t i = count; i < padded(count); ++i) x[i] = x[count - 1];
}

void convert(const float* from, double* to, int64_t count);
void convert(const double* from, double* to, int64_t count);
void convert(const double* from, float* to, int64_t count);
/// x[i] *= by[i]
void scale(double* x, const double* by, int64_t count);
/// Into [lower, upper]; NaN stays.
void clamp(double* x, double lower, double upper, int64_t count);

/// y[i] = 1 where x[i] < y[i], else 0.
void are_below(const double* x, float* y, int64_t count);
void are_below(const double* x, double* y, int64_t count);

}  // namespace elbo::blocks
