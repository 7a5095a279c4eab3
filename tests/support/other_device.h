// A device other than the CPU, where there is none.
#pragma once

#include <ATen/core/Tensor.h>

namespace elbo::testing {

/// A device whose tensors ATen takes for a GPU's: operations between it and the CPU fail, `is_cpu`
/// is false, reading its memory from the host crashes, and backward passes run in a thread of its
/// own. What it computes the CPU computes, so that its results can be compared exactly.
[[nodiscard]] at::Device other_device();

/// While it lives, plans of that device are graphs, as on CUDA: what is captured has no effect,
/// what waits for the device while it is captured fails, and a launch computes again, from the same
/// memory to the same memory.
class GraphsOnOtherDevice {
 public:
  GraphsOnOtherDevice();
  GraphsOnOtherDevice(const GraphsOnOtherDevice&) = delete;
  GraphsOnOtherDevice& operator=(const GraphsOnOtherDevice&) = delete;
  ~GraphsOnOtherDevice();

  [[nodiscard]] int64_t captured() const;  ///< graphs, since it began
  [[nodiscard]] int64_t launched() const;
};

}  // namespace elbo::testing
