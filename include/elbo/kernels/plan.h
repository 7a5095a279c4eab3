// The kernels of a computation, recorded once and run again: for a step that is the same each time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "elbo/kernels/noise.h"

namespace elbo {

namespace detail {
struct RecordedPlan;
}

/// What a stretch of code computes, as the list of its kernels and the memory that they work on:
/// to the processor what a captured graph is to a GPU. `replay` computes again from what the inputs
/// then hold, at the same places, without the program, autograd's graph and the small tensors that
/// led to the kernels: a training step is a few dozen kernels and some hundred calls around them.
///
/// On a CUDA device it is such a graph: what `body` gives the device to do is captured, and noise,
/// which is drawn on the CPU, is drawn again before the graph is launched.
///
/// Recorded are the library's kernels and every tensor operation on the CPU. What reads a number
/// into the program (`item`), draws by a generator of ATen's or is a kernel that cannot be recorded
/// makes the plan incomplete. Reading memory by hand and flow of control are not seen: whoever
/// replays a plan checks it against the code now and then, as `Aevb` does.
class Plan {
 public:
  /// Runs `body`, which draws from streams of `noise` and computes on `device`. The tensors that it
  /// makes are kept as long as the plan. On a CUDA device `body` must have run before, for
  /// libraries start at their first call, and what it does there has no effect until it is
  /// replayed.
  [[nodiscard]] static Plan record(const Noise& noise, const std::function<void()>& body,
                                   at::Device device = at::kCPU);

  /// Whether this build has plans of what `device` computes.
  [[nodiscard]] static bool can_record(at::Device device);

  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  /// Why it cannot be replayed; empty where it can.
  [[nodiscard]] const std::string& refusal() const;
  /// Kernels and operations.
  [[nodiscard]] std::size_t size() const;
  /// Runs them again, drawing the numbers of this step. **Throws** ConfigError when incomplete.
  void replay(std::uint64_t step) const;

 private:
  explicit Plan(std::unique_ptr<detail::RecordedPlan> recorded);
  std::unique_ptr<detail::RecordedPlan> recorded_;
};

}  // namespace elbo
