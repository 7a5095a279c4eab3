#include "kernels/detail/pool.h"

#include <c10/core/alignment.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <mutex>
#include <vector>

namespace elbo::detail {

#if defined(__SANITIZE_ADDRESS__) || !defined(__linux__)

c10::Allocator* pool() { return nullptr; }

#else

namespace {

constexpr size_t kSmallest = size_t{4} << 10, kLargest = size_t{64} << 20;
constexpr size_t kHeader = 64;  // before each block: its class; keeps blocks on cache lines
constexpr size_t kLargePage = size_t{2} << 20;
static_assert(kHeader >= c10::gAlignment);

/// Sizes in steps of an eighth of the power of two below: 8 classes an octave.
size_t class_of(size_t n) {
  const auto octave = static_cast<size_t>(std::bit_width(n - 1)) - 1;
  const size_t step = size_t{1} << (octave - 3);
  return 8 * octave + (n - 1 - (size_t{1} << octave)) / step;
}
size_t size_of(size_t size_class) {
  const size_t octave = size_class / 8;
  return (size_t{1} << octave) + (size_class % 8 + 1) * (size_t{1} << (octave - 3));
}

class Pool final : public c10::Allocator {
 public:
  /// `bytes` of addresses, of which memory is taken as they are first written.
  explicit Pool(size_t bytes) {
    void* range = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) return;
    madvise(range, bytes, MADV_HUGEPAGE);  // refused: small pages then
    begin_ = next_ = static_cast<char*>(range);
    end_ = begin_ + bytes;
  }

  c10::DataPtr allocate(size_t n) const override {
    void* data = take(n);
    return {data, data, raw_deleter(), c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return release; }

 private:
  static Pool& self() { return *static_cast<Pool*>(pool()); }

  void* take(size_t n) const {
    if (n < kSmallest || n > kLargest) return c10::alloc_cpu(n);
    const size_t size_class = class_of(n);
    const std::lock_guard lock(mutex_);
    auto& free = free_[size_class];
    if (!free.empty()) {
      void* data = free.back();
      free.pop_back();
      return data;
    }
    const size_t whole = kHeader + size_of(size_class);
    if (static_cast<size_t>(end_ - next_) < whole) return c10::alloc_cpu(n);
    char* data = next_ + kHeader;
    *reinterpret_cast<size_t*>(next_) = size_class;
    next_ += whole;
    free.reserve(free.capacity() + 1);  // so that giving back takes no memory
    return data;
  }

  static void release(void* data) {
    Pool& pool = self();
    auto* block = static_cast<char*>(data);
    if (block < pool.begin_ || block >= pool.end_) return c10::free_cpu(data);
    const size_t size_class = *reinterpret_cast<size_t*>(block - kHeader);
    const std::lock_guard lock(pool.mutex_);
    pool.free_[size_class].push_back(data);
  }

  char *begin_ = nullptr, *end_ = nullptr;
  mutable char* next_ = nullptr;
  mutable std::mutex mutex_;
  mutable std::vector<void*> free_[8 * 64];
};

}  // namespace

c10::Allocator* pool() {
  // Never destroyed: tensors may outlive whatever is.
  static auto* one = [] {
    const auto pages = static_cast<size_t>(std::max<int64_t>(1, sysconf(_SC_PHYS_PAGES)));
    const size_t memory = pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return new Pool(std::max(memory / kLargePage, size_t{1}) * kLargePage);
  }();
  return one;
}

#endif

}  // namespace elbo::detail
