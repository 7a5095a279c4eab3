// Where libtorch has CUDA.
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "kernels/detail/device_graph.h"

namespace elbo::detail {
namespace {

class CudaGraph final : public DeviceGraph {
 public:
  CudaGraph(at::Device device, const Body& body) {
    const c10::cuda::CUDAGuard on(device);
    c10::cuda::device_synchronize();  // what is captured may read what is still being computed
    // The default stream cannot be captured.
    const c10::cuda::CUDAStreamGuard aside(c10::cuda::getStreamFromPool());
    // Relaxed: pinned memory for noise is allocated meanwhile.
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeRelaxed);
    try {
      body();
    } catch (...) {
      abandon();
      throw;
    }
    graph_.capture_end();
  }

  void wait() override {
    if (launched_.isCreated()) launched_.synchronize();
  }
  void launch() override {
    graph_.replay();
    launched_.record();
  }

 private:
  void abandon() {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {  // that the capture is invalid, which is why it is abandoned
    }
    (void)cudaGetLastError();  // or the next call would report it
  }

  at::cuda::CUDAGraph graph_;
  at::cuda::CUDAEvent launched_;
};

}  // namespace

std::unique_ptr<DeviceGraph> capture_cuda(at::Device device, const DeviceGraph::Body& body) {
  return std::make_unique<CudaGraph>(device, body);
}

}  // namespace elbo::detail
