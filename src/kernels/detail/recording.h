// How a kernel joins the plan that is being recorded (elbo/kernels/plan.h).
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

namespace elbo::detail::recording {

/// Whether this thread records a plan.
[[nodiscard]] bool is_active();
/// The step whose noise it is recorded with.
[[nodiscard]] std::uint64_t step();
/// Whose threads a kernel takes: those of a Team (team.h), or OpenMP's by itself.
enum class Threads { kTeam, kOwn };

/// Adds what has just been computed. Pointers in it stay valid where tensors made by ATen or held
/// by the kernel own their memory.
void add(std::function<void(std::uint64_t step)> kernel, Threads threads = Threads::kTeam);
/// For what cannot be computed again by itself: the plan will be incomplete.
void refuse(const char* what);

/// Runs a kernel, any callable that may be copied, and adds it to the plan if there is one.
template <class Kernel>
void run(Kernel&& kernel) {
  kernel();
  if (is_active())
    add([kernel = std::forward<Kernel>(kernel)](std::uint64_t) mutable { kernel(); });
}

}  // namespace elbo::detail::recording
