#include "kernels/detail/device_graph.h"

#include <array>

namespace elbo::detail {

DeviceGraph::Capture& DeviceGraph::capture_on(c10::DeviceType type) {
  using Captures = std::array<Capture, c10::COMPILE_TIME_MAX_DEVICE_TYPES>;
  static Captures known = [] {
    Captures of_build{};
#if defined(ELBO_HAS_CUDA)
    of_build[static_cast<size_t>(c10::DeviceType::CUDA)] = capture_cuda;
#endif
    return of_build;
  }();
  return known.at(static_cast<size_t>(type));
}

}  // namespace elbo::detail
