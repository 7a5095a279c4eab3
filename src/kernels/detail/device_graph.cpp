#include "kernels/detail/device_graph.h"

#include <map>

namespace elbo::detail {

DeviceGraph::Capture& DeviceGraph::capture_on(c10::DeviceType type) {
#if defined(ELBO_HAS_CUDA)
  static std::map<c10::DeviceType, Capture> known = {{c10::DeviceType::CUDA, capture_cuda}};
#else
  static std::map<c10::DeviceType, Capture> known;
#endif
  return known[type];
}

}  // namespace elbo::detail
