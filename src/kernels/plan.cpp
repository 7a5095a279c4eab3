#include "elbo/kernels/plan.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/error.h"
#include "kernels/detail/arithmetic.h"
#include "kernels/detail/device_graph.h"
#include "kernels/detail/recording.h"
#include "kernels/detail/team.h"

namespace elbo {
namespace {

using c10::IValue;

/// The same numbers, apart from autograd's graph.
at::Tensor without_graph(const at::Tensor& x) {
  return x.defined() ? at::Tensor(x.unsafeGetTensorImpl()->shallow_copy_and_detach(
                           /*version_counter=*/0, /*allow_tensor_metadata_change=*/true))
                     : x;
}

std::vector<at::Tensor> tensors_in(const std::vector<IValue>& values) {
  std::vector<at::Tensor> out;
  for (const IValue& value : values) {
    if (value.isTensor()) {
      if (value.toTensor().defined()) out.push_back(without_graph(value.toTensor()));
    } else if (value.isTensorList()) {
      for (const at::Tensor& x : value.toTensorVector()) out.push_back(without_graph(x));
    } else if (value.isList()) {  // of optional tensors, as indices are
      for (const IValue& one : value.toListRef())
        if (one.isTensor() && one.toTensor().defined())
          out.push_back(without_graph(one.toTensor()));
    }
  }
  return out;
}

IValue without_graph(const IValue& value) {
  if (value.isTensor()) return without_graph(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> out;
    for (const at::Tensor& x : value.toTensorVector()) out.push_back(without_graph(x));
    return out;
  }
  return value;
}

bool shares_memory(const at::Tensor& x, const std::vector<at::Tensor>& others) {
  return std::any_of(others.begin(), others.end(), [&](const at::Tensor& other) {
    return x.has_storage() && other.has_storage() && x.storage().is_alias_of(other.storage());
  });
}

/// An operation of ATen's, called again on the same tensors.
class Operation {
 public:
  Operation(c10::OperatorHandle op, std::vector<IValue> inputs, std::vector<at::Tensor> results)
      : op_(std::move(op)), inputs_(std::move(inputs)), results_(std::move(results)) {}

  void operator()(uint64_t) const {
    const at::NoGradGuard no_grad;
    const at::AutoDispatchBelowADInplaceOrView below;
    std::vector<IValue> stack = inputs_;
    op_.callBoxed(&stack);
    if (results_.empty()) return;  // it wrote to its arguments
    const auto made = tensors_in(stack);
    for (size_t i = 0; i < results_.size(); ++i) at::Tensor(results_[i]).copy_(made.at(i));
  }

 private:
  c10::OperatorHandle op_;
  std::vector<IValue> inputs_;
  std::vector<at::Tensor> results_;
};

}  // namespace

/// What a plan holds.
struct detail::RecordedPlan {
  struct Kernel {
    std::function<void(uint64_t)> run;
    detail::recording::Threads threads = detail::recording::Threads::kTeam;
  };
  std::vector<Kernel> kernels;
  std::vector<at::Tensor> kept;  // so that their memory is not given to others
  at::Device device = at::kCPU;
  std::unique_ptr<DeviceGraph> graph;  // of another device: what it does, after the kernels
  std::string refusal;
  uint64_t step = 0;
  int depth = 0;  // of operations within operations: the outermost are recorded

  void refuse(const std::string& what) {
    if (refusal.empty()) refusal = what;
  }
  void add(const c10::OperatorName& name, const std::vector<IValue>& inputs,
           const std::vector<IValue>& outputs);
};

namespace {

thread_local detail::RecordedPlan* current = nullptr;

/// What an operation was given, from its start to its end.
struct Observed : at::ObserverContext {
  std::vector<IValue> inputs{};
  bool counted = false;
};

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& function) {
  auto observed = std::make_unique<Observed>();
  if (current == nullptr || !function.operator_name()) return observed;
  observed->counted = true;
  if (current->depth++ == 0)
    for (const IValue& value : function.inputs()) observed->inputs.push_back(without_graph(value));
  return observed;
}

void on_end(const at::RecordFunction& function, at::ObserverContext* context) {
  if (current == nullptr) return;
  if (context == nullptr) return current->refuse("an operation whose start was not observed");
  const auto& observed = static_cast<const Observed&>(*context);
  if (!observed.counted || --current->depth > 0) return;
  current->add(*function.operator_name(), observed.inputs, function.outputs());
}

/// While it lives, this thread's operations are added to a plan.
class Recorder {
 public:
  explicit Recorder(detail::RecordedPlan& into)
      : outer_(current),
        callback_(at::addThreadLocalCallback(at::RecordFunctionCallback(on_start, on_end)
                                                 .needsInputs(true)
                                                 .needsOutputs(true)
                                                 .scopes({at::RecordScope::FUNCTION}))) {
    if (outer_ != nullptr) outer_->refuse("another plan's recording");
    current = &into;
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder() {
    at::removeCallback(callback_);
    current = outer_;
  }

 private:
  detail::RecordedPlan* outer_;
  at::CallbackHandle callback_;
};

}  // namespace

void detail::RecordedPlan::add(const c10::OperatorName& name, const std::vector<IValue>& inputs,
                               const std::vector<IValue>& outputs) {
  const auto op = c10::Dispatcher::singleton().findSchema(name);
  if (!op) return refuse(c10::toString(name));
  const auto given = tensors_in(inputs);
  auto results = tensors_in(outputs);
  if (op->hasTag(at::Tag::nondeterministic_seeded) || op->hasTag(at::Tag::dynamic_output_shape) ||
      op->hasTag(at::Tag::data_dependent_output))
    return refuse(c10::toString(name));
  const auto not_cpu = [](const at::Tensor& x) { return !x.is_cpu(); };
  if (std::any_of(results.begin(), results.end(), not_cpu)) {
    if (device.is_cpu()) refuse(c10::toString(name));
    return;  // of another device its graph has it, from numbers that the kernels leave on the host
  }
  if (std::any_of(given.begin(), given.end(), not_cpu)) return refuse(c10::toString(name));
  kept.insert(kept.end(), results.begin(), results.end());
  // Less than that is done before threads have left the team and come back.
  constexpr int64_t kLarge = 8 * at::internal::GRAIN_SIZE;
  const auto is_large = [](const at::Tensor& x) { return x.numel() >= kLarge; };
  const auto threads = std::any_of(given.begin(), given.end(), is_large) ||
                               std::any_of(results.begin(), results.end(), is_large)
                           ? recording::Threads::kOwn
                           : recording::Threads::kTeam;
  const auto arithmetic = detail::Arithmetic::of(name, inputs, results);
  if (arithmetic) {
    kernels.push_back({*arithmetic});
  } else if (op->schema().is_mutable()) {
    kernels.push_back({Operation(*op, inputs, {}), threads});
  } else if (results.empty()) {  // a number for the program
    refuse(c10::toString(name));
  } else if (name.name.find("empty") == std::string::npos &&
             !std::all_of(results.begin(), results.end(),
                          [&](const at::Tensor& x) { return shares_memory(x, given); })) {
    kernels.push_back({Operation(*op, inputs, std::move(results)), threads});
  }
}

Plan::Plan(std::unique_ptr<detail::RecordedPlan> recorded) : recorded_(std::move(recorded)) {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

Plan Plan::record(const Noise& noise, const std::function<void()>& body, at::Device device) {
  auto recorded = std::make_unique<detail::RecordedPlan>();
  recorded->step = noise.step();
  recorded->device = device;
  const auto observed = [&] {
    const Recorder recorder(*recorded);
    body();
  };
  if (device.is_cpu()) {
    observed();
    return Plan(std::move(recorded));
  }
  const auto capture = detail::DeviceGraph::capture_on(device.type());
  try {
    if (capture != nullptr)
      recorded->graph = capture(device, observed);
    else
      recorded->refuse("device " + device.str());
  } catch (const c10::Error& e) {
    recorded->refuse(e.what_without_backtrace());
  }
  return Plan(std::move(recorded));
}

bool Plan::can_record(at::Device device) {
  return device.is_cpu() || detail::DeviceGraph::capture_on(device.type()) != nullptr;
}

const std::string& Plan::refusal() const { return recorded_->refusal; }
size_t Plan::size() const { return recorded_->kernels.size(); }

void Plan::replay(uint64_t step) const {
  if (!refusal().empty())
    throw ConfigError(fmt::format("Plan: '{}' cannot be recorded; run the code itself", refusal()));
  const auto has_own_threads = [](const detail::RecordedPlan::Kernel& k) {
    return k.threads == detail::recording::Threads::kOwn;
  };
  if (recorded_->graph) recorded_->graph->wait();
  const auto& kernels = recorded_->kernels;
  for (auto next = kernels.begin(); next != kernels.end();) {
    const auto end = std::find_if(next, kernels.end(), has_own_threads);
    if (next != end)
      detail::team::gather([&] { std::for_each(next, end, [&](const auto& k) { k.run(step); }); });
    next = end;
    for (; next != kernels.end() && has_own_threads(*next); ++next) next->run(step);
  }
  if (recorded_->graph) recorded_->graph->launch();
}

namespace detail::recording {

bool is_active() { return current != nullptr; }
uint64_t step() { return current->step; }
void add(std::function<void(uint64_t)> kernel, Threads threads) {
  if (current->depth > 0) return current->refuse("a kernel within an operation of ATen's");
  current->kernels.push_back({std::move(kernel), threads});
}
void refuse(const char* what) {
  if (current != nullptr) current->refuse(what);
}

}  // namespace detail::recording

}  // namespace elbo
