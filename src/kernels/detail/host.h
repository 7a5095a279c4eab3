// Numbers that the CPU makes for tensors of any device.
#pragma once

#include <ATen/ATen.h>

namespace elbo::detail {

/// On the CPU; for tensors of a GPU in pinned memory, which a captured graph can read.
inline at::Tensor empty_on_host(at::IntArrayRef shape, const at::TensorOptions& options) {
  const auto host = at::TensorOptions(options).device(at::kCPU).requires_grad(false);
  return at::empty(shape, options.device().is_cuda() ? host.pinned_memory(true) : host);
}

/// `host`, which the CPU has filled, on a device: itself on the CPU.
inline at::Tensor on_device(const at::Tensor& host, at::Device device) {
  if (device.is_cpu()) return host;
  return host.to(device, host.scalar_type(), /*non_blocking=*/device.is_cuda());
}

}  // namespace elbo::detail
