#include "support/other_device.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/strides.h>
#include <torch/library.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kernels/detail/device_graph.h"

namespace elbo::testing {
namespace {

constexpr auto kType = c10::DeviceType::PrivateUse1;
constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

C10_REGISTER_GUARD_IMPL(PrivateUse1, c10::impl::NoOpDeviceGuardImpl<kType>)

/// From the host's address to this device's, where the host would find nothing.
constexpr std::uintptr_t kAway = std::uintptr_t{1} << 62;

void* moved(void* address, std::uintptr_t by) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(address) + by);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride,
                         c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                         c10::optional<at::Device>, c10::optional<bool>) {
  const auto type = at::scalarTypeToTypeMeta(dtype.value_or(at::kFloat));
  const size_t bytes = at::detail::computeStorageNbytes(size, stride, type.itemsize());
  void* memory = std::malloc(bytes);
  std::memset(memory, 0xff, bytes);  // NaN, of floating-point numbers
  c10::DataPtr data(moved(memory, kAway), memory, std::free, other_device());
  auto out = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(c10::Storage::use_byte_size_t(), bytes, std::move(data)), kKeys, type);
  out.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride);
  return out;
}

at::Tensor empty(at::IntArrayRef size, c10::optional<at::ScalarType> dtype,
                 c10::optional<at::Layout> layout, c10::optional<at::Device> device,
                 c10::optional<bool> pinned, c10::optional<at::MemoryFormat>) {
  return empty_strided(size, c10::contiguous_strides(size), dtype, layout, device, pinned);
}

/// The same memory, as a tensor of the CPU's.
at::Tensor on_host(const at::Tensor& x) {
  if (x.is_cpu()) return x;
  return at::from_blob(moved(x.data_ptr(), -kAway), x.sizes(), x.strides(),
                       at::TensorOptions().dtype(x.scalar_type()));
}

void assign(const at::Tensor& to, const at::Tensor& from) {
  if (to.numel() > 0) on_host(to).copy_(on_host(from));
}

/// What a graph launches, in order, and what takes back its effects while it was captured.
struct Steps {
  std::mutex mutex{};  // the backward pass has a thread of its own
  std::vector<std::function<void()>> run{}, undo{};

  void add(std::function<void()> step) {
    const std::lock_guard lock(mutex);
    run.push_back(std::move(step));
  }
  void will_write(const at::Tensor& x) {
    if (x.numel() == 0) return;
    const std::lock_guard lock(mutex);
    undo.push_back([x, before = on_host(x).clone()] { assign(x, before); });
  }
  void has_made(const at::Tensor& x) {
    if (!x.is_floating_point() || x.numel() == 0) return;
    const std::lock_guard lock(mutex);
    undo.push_back([x] { on_host(x).fill_(std::nan("")); });
  }
};
std::atomic<Steps*> capturing = nullptr;
std::atomic<int64_t> graphs = 0, launches = 0;
thread_local int depth = 0;  // of operations within operations

Steps* captures() { return depth == 0 ? capturing.load() : nullptr; }

void refuse(bool held, const std::string& what) {
  TORCH_CHECK(!held, "operation not permitted when the stream is capturing: ", what);
}

at::Tensor& copy(at::Tensor& to, const at::Tensor& from, bool) {
  if (Steps* steps = captures()) {
    refuse(to.is_cpu(), "a copy to the host");
    steps->will_write(to);
    steps->add([to, from] { assign(to, from); });
  }
  assign(to, from);
  return to;
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  assign(to, from);
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) to.resize_(from.sizes());
  return copy_from(from, to, false);
}

const at::Tensor& resize(const at::Tensor& x, at::IntArrayRef size,
                         c10::optional<at::MemoryFormat>) {
  const_cast<at::Tensor&>(x).set_data(at::empty(size, x.options()));
  return x;
}

std::vector<at::Tensor> tensors_of(const std::vector<c10::IValue>& values) {
  std::vector<at::Tensor> out;
  for (const auto& value : values)
    if (value.isTensor()) out.push_back(value.toTensor());
  return out;
}

void compute(const c10::OperatorHandle& op, c10::Stack* stack) {
  ++depth;
  struct Leave {
    ~Leave() { --depth; }
  } const leave;
  at::native::cpu_fallback(op, stack);
}

void by_the_cpu(const c10::OperatorHandle& op, c10::Stack* stack) {
  Steps* steps = captures();
  if (steps == nullptr) return compute(op, stack);
  const auto& schema = op.schema();
  refuse(schema.name() == "aten::_local_scalar_dense" || schema.name() == "aten::equal",
         schema.name());
  const auto first = stack->end() - static_cast<std::ptrdiff_t>(schema.arguments().size());
  const std::vector<c10::IValue> arguments(first, stack->end());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto* alias = schema.arguments()[i].alias_info();
    if (alias != nullptr && alias->isWrite() && arguments[i].isTensor())
      steps->will_write(arguments[i].toTensor());
  }
  compute(op, stack);
  if (schema.is_mutable()) {
    steps->add([op, arguments] {
      c10::Stack again = arguments;
      compute(op, &again);
    });
    return;
  }
  const auto results = tensors_of(*stack);
  for (const auto& x : results) steps->has_made(x);
  steps->add([op, arguments, results] {
    c10::Stack again = arguments;
    compute(op, &again);
    const auto made = tensors_of(again);
    for (size_t i = 0; i < results.size(); ++i) assign(results[i], made.at(i));
  });
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("copy_", copy);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("resize_", resize);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
}

class Graph final : public elbo::detail::DeviceGraph {
 public:
  explicit Graph(const Body& body) {
    ++graphs;
    capturing = &steps_;
    const auto end = [&] {
      capturing = nullptr;
      for (auto undo = steps_.undo.rbegin(); undo != steps_.undo.rend(); ++undo) (*undo)();
      steps_.undo.clear();
    };
    try {
      body();
    } catch (...) {
      end();
      throw;
    }
    end();
  }
  void wait() override {}
  void launch() override {
    ++launches;
    const at::NoGradGuard no_grad;
    const at::AutoDispatchBelowADInplaceOrView below;
    for (const auto& step : steps_.run) step();
  }

 private:
  Steps steps_;
};

}  // namespace

at::Device other_device() { return {kType, 0}; }

GraphsOnOtherDevice::GraphsOnOtherDevice() {
  graphs = launches = 0;
  elbo::detail::DeviceGraph::capture_on(kType) = [](at::Device,
                                                    const elbo::detail::DeviceGraph::Body& body)
      -> std::unique_ptr<elbo::detail::DeviceGraph> { return std::make_unique<Graph>(body); };
}
GraphsOnOtherDevice::~GraphsOnOtherDevice() {
  elbo::detail::DeviceGraph::capture_on(kType) = nullptr;
}
int64_t GraphsOnOtherDevice::captured() const { return graphs; }
int64_t GraphsOnOtherDevice::launched() const { return launches; }

}  // namespace elbo::testing
