// Process-wide settings, the one exception to the rule that the library has none.
#pragma once

#include <cstdint>

namespace elbo::runtime {

constexpr int64_t kMostThreads = 1024;

struct TuneOptions {
  int64_t threads = 0;  ///< at most kMostThreads; 0: as many as there are
};

/// Sets the number of OpenMP threads (ATen's, the BLAS's and oneDNN's, which share one pool), has
/// all of them flush denormals to zero, and from then on gives tensors memory that is kept when
/// they end, in large pages where the system has them: a training step that runs again takes
/// neither pages nor blocks from the system. The program calls it first; library users may.
/// **Throws** ConfigError for a number of threads that is negative or more than `kMostThreads`.
void tune(const TuneOptions& options = {});

}  // namespace elbo::runtime
