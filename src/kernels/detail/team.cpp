#include "kernels/detail/team.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <atomic>
#include <exception>
#include <optional>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace elbo::detail::team {
namespace {

constexpr size_t kLine = 128;  // what processors fetch together

/// Until `is_over()`: at first without letting go of the processor.
template <class Condition>
void wait_until(const Condition& is_over) {
  constexpr int kPatience = 1 << 14;
  for (int spins = 0; !is_over(); ++spins) {
    if (spins > kPatience) std::this_thread::yield();
#if defined(__x86_64__)
    _mm_pause();
#endif
  }
}

/// The threads of one parallel region: the first leads, the others wait for its orders.
class Team {
 public:
  explicit Team(int64_t size) : size_(size) {}
  [[nodiscard]] int64_t size() const { return size_; }

  void run(int64_t parts, const std::function<void(int64_t)>& f) {
    work_ = &f;
    parts_ = parts;
    busy_.store(size_ - 1, std::memory_order_relaxed);
    orders_.fetch_add(1, std::memory_order_release);
    attempt(0);
    wait_until([&] { return busy_.load(std::memory_order_acquire) == 0; });
    if (failed_.exchange(false)) std::rethrow_exception(failure_);
  }
  void dismiss() { run(0, {}); }

  /// What the `part`-th thread does until it is dismissed.
  void serve(int64_t part) {
    for (uint64_t seen = 0;;) {
      wait_until([&] { return orders_.load(std::memory_order_acquire) != seen; });
      ++seen;
      const bool dismissed = parts_ == 0;
      attempt(part);
      busy_.fetch_sub(1, std::memory_order_release);
      if (dismissed) return;
    }
  }

 private:
  void attempt(int64_t part) {
    if (part >= parts_) return;
    try {
      (*work_)(part);
    } catch (...) {
      if (!failed_.exchange(true)) failure_ = std::current_exception();
    }
  }

  int64_t size_;
  std::exception_ptr failure_;
  std::atomic<bool> failed_ = false;
  const std::function<void(int64_t)>* work_ = nullptr;
  int64_t parts_ = 0;
  alignas(kLine) std::atomic<uint64_t> orders_ = 0;
  alignas(kLine) std::atomic<int64_t> busy_ = 0;
};

thread_local Team* led = nullptr;  // by this thread, outside of its own parts

/// While it lives, this thread leads a team, or none.
class Leading {
 public:
  explicit Leading(Team* team) : before_(led) { led = team; }
  Leading(const Leading&) = delete;
  Leading& operator=(const Leading&) = delete;
  ~Leading() { led = before_; }

 private:
  Team* before_;
};

}  // namespace

int64_t size() {
  if (led != nullptr) return led->size();
  return at::in_parallel_region() ? 1 : at::get_num_threads();
}

void run(int64_t parts, const std::function<void(int64_t)>& f) {
  if (Team* team = led) {
    const Leading none(nullptr);
    return team->run(parts, f);
  }
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) f(part);
  });
}

void gather(const std::function<void()>& body) {
  const auto threads = static_cast<int>(size());
  if (threads == 1 || led != nullptr) return body();
  std::exception_ptr thrown;
  std::optional<Team> team;
#pragma omp parallel num_threads(threads)
  {
#pragma omp single
    team.emplace(omp_get_num_threads());
    if (omp_get_thread_num() != 0) {
      team->serve(omp_get_thread_num());
    } else {
      try {
        const Leading leading(&*team);
        body();
      } catch (...) {
        thrown = std::current_exception();
      }
      team->dismiss();
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace elbo::detail::team
