// Process-wide settings, the one exception to the rule that the library has none.
#pragma once

namespace elbo::runtime {

struct TuneOptions {
  int threads = 0;  ///< 0: as many as the machine has
};

/// Sets the number of OpenMP threads (ATen's and the BLAS's), flushes denormals to zero, and lets
/// the allocator keep freed pages, which saves a step's page faults. The program calls it first;
/// library users may.
void tune(const TuneOptions& options = {});

}  // namespace elbo::runtime
