#include "elbo/kernels/runtime.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <fmt/format.h>
#include <malloc.h>

#include "elbo/error.h"
#include "kernels/detail/pool.h"

namespace elbo::runtime {

void tune(const TuneOptions& options) {
  if (options.threads < 0 || options.threads > kMostThreads)
    throw ConfigError(fmt::format("threads = {}; expected 0 to {}", options.threads, kMostThreads));
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
    // A property of each thread: of this one, and of the pool's.
#pragma omp parallel num_threads(at::get_num_threads())
  at::globalContext().setFlushDenormal(true);
  if (auto* pool = detail::pool()) c10::SetCPUAllocator(pool, /*priority=*/1);
  // 32 MiB is the most that glibc takes; it refuses more and would then map every tensor anew.
  // Another allocator (a sanitizer's) may refuse both, which costs time only.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace elbo::runtime
