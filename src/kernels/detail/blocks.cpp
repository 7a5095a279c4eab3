#include "kernels/detail/blocks.h"

#include <algorithm>

// GCC compiles these for both instruction sets and chooses when the program is loaded.
#if defined(ELBO_HAS_AVX2_LOOPS)
#define ELBO_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ELBO_CLONES
#endif

namespace elbo::blocks {

ELBO_CLONES void convert(const float* from, double* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<double>(from[i]);
}
void convert(const double* from, double* to, int64_t count) { std::copy_n(from, count, to); }
ELBO_CLONES void convert(const double* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}
ELBO_CLONES void scale(double* x, const double* by, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] *= by[i];
}
ELBO_CLONES void clamp(double* x, double lower, double upper, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    x[i] = x[i] < lower ? lower : x[i];
    x[i] = x[i] > upper ? upper : x[i];
  }
}
ELBO_CLONES void are_below(const double* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < static_cast<double>(y[i]) ? 1.0F : 0.0F;
}
ELBO_CLONES void are_below(const double* x, double* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < y[i] ? 1.0 : 0.0;
}

}  // namespace elbo::blocks
