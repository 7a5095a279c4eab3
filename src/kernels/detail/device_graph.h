// What a device is given to do, captured once and launched again.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace elbo::detail {

class DeviceGraph {
 public:
  using Body = std::function<void()>;
  /// Runs a body; what it gives the device is captured and has no effect. Throws what the body
  /// throws, and c10::Error where something in it cannot be captured, as waiting for the device
  /// can't.
  using Capture = std::unique_ptr<DeviceGraph> (*)(at::Device device, const Body& body);

  /// How graphs of this kind of device are captured; null where there are none. CUDA has them where
  /// libtorch has CUDA.
  static Capture& capture_on(c10::DeviceType type);

  virtual ~DeviceGraph() = default;
  /// Until the launch before has ended, and so has read what it copies from the host.
  virtual void wait() = 0;
  /// On the current stream.
  virtual void launch() = 0;
};

#if defined(ELBO_HAS_CUDA)
[[nodiscard]] std::unique_ptr<DeviceGraph> capture_cuda(at::Device device,
                                                        const DeviceGraph::Body& body);
#endif

}  // namespace elbo::detail
