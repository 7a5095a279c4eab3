// After its tenth step training takes no block of 64 KiB from the heap, and no page for tensors.
// This binary counts what malloc and its kin are asked for. Without AVX-512 oneDNN's products pack
// their operands into blocks that they take and give back at each call, and that nobody can give
// them: they are counted apart, and must cost no page.
#include <ATen/ATen.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "elbo/data/batch_source.h"
#include "elbo/inference/aevb.h"
#include "elbo/kernels/pack.h"
#include "elbo/kernels/runtime.h"
#include "elbo/models/vae.h"

namespace {
constexpr size_t kLarge = size_t{64} << 10;
std::atomic<bool> counting{false};
std::atomic<int> large_blocks{0}, of_onednn{0};
[[maybe_unused]] bool is_onednn(const void* caller) {
  Dl_info info{};
  return dladdr(caller, &info) != 0 && info.dli_fname != nullptr &&
         std::strstr(info.dli_fname, "libdnnl") != nullptr;
}
void count(size_t bytes, std::atomic<int>& blocks = large_blocks) {
  if (counting && bytes >= kLarge) ++blocks;
}
}  // namespace

#if !defined(__SANITIZE_ADDRESS__)
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t n) {
  count(n);
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  count(n * size);
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t n) {
  count(n);
  return __libc_realloc(p, n);
}
void* aligned_alloc(size_t alignment, size_t n) {
  count(n);
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** out, size_t alignment, size_t n) {
  if (n >= kLarge) count(n, is_onednn(__builtin_return_address(0)) ? of_onednn : large_blocks);
  *out = __libc_memalign(alignment, n);
  return *out == nullptr ? 12 : 0;
}
}
#endif

namespace elbo {
namespace {

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt + usage.ru_majflt;
}

template <class F>
int64_t times_with_new_pages(int64_t first, int64_t last, const F& f) {
  int64_t times = 0;
  for (int64_t t = first; t < last; ++t) {
    const int64_t faults = page_faults();
    f(t);
    if (page_faults() > faults) ++times;
  }
  return times;
}

void write_to_a_new_page() {
  constexpr size_t kPage = 4096;
  void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  *static_cast<volatile char*>(page) = 1;
  munmap(page, kPage);
}

TEST(StepMemory, TakesNothingFromTheSystemAfterTenSteps) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer's allocator takes what it likes";
#endif
  runtime::tune({.threads = 2});
  VaeConfig config;  // W1: 784-500-20-500-784
  config.data_dim = 784;
  config.latent_dim = 20;
  config.hidden = {500};
  const Vae vae(config, at::kFloat);
  FlatParameters parameters(vae.parameters());
  nn::initialise(parameters.named(), nn::Init::kXavier, Noise(1));
  auto adam = make_optimizer("adam", parameters, 1e-3);
  Aevb learner(vae.model(), vae.guide(), std::move(parameters), std::move(adam),
               {.weight_prior = 1});
  const auto bytes = (Noise(2).uniform({1000, 784}, at::kFloat) * 256).to(at::kByte);
  const data::BatchSource source({.x = bytes}, 1.0 / 255, data::Binarize::kNone, at::kFloat);
  const auto step = [&](int64_t t) {
    const Noise noise(3, static_cast<uint64_t>(t));
    return learner.step(source.range(t % 10 * 100, 100, noise), noise).elbo;
  };
  // oneDNN's blocks, where it takes some, have mostly found their places in the heap by step 52.
  const int64_t first = math::has_avx512() ? 10 : 100;
  for (int64_t t = 0; t < first; ++t) step(t);
  large_blocks = 0;
  counting = true;
  const int64_t steps_with_new_pages = times_with_new_pages(first, first + 50, step);
  counting = false;
  EXPECT_EQ(large_blocks, 0);
  if (math::has_avx512()) {
    EXPECT_EQ(of_onednn, 0);
  }
  // The heap of small blocks still grows, by 4 pages in 3000 steps when measured, and oneDNN's
  // blocks move: 0 or 1 of the 50. Memory that goes back to the system is taken anew in every step,
  // 50 of them where glibc is told to keep none.
  EXPECT_LE(steps_with_new_pages, 5);
  // The counters count.
  EXPECT_EQ(times_with_new_pages(0, 50, [](int64_t) { write_to_a_new_page(); }), 50);
  counting = true;
  std::free(std::malloc(kLarge));
  counting = false;
  EXPECT_EQ(large_blocks, 1);
}

}  // namespace
}  // namespace elbo
