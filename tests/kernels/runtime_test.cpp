#include "elbo/kernels/runtime.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "elbo/error.h"

namespace elbo::runtime {
namespace {

TEST(Runtime, SetsThreadsAndFlushesDenormals) {
  const int before = at::get_num_threads();
  tune({.threads = 2});
  EXPECT_EQ(at::get_num_threads(), 2);
  tune();
  EXPECT_EQ(at::get_num_threads(), 2) << "0 leaves them as they are";
  const auto tiny = at::full({1}, std::numeric_limits<float>::denorm_min(), at::kFloat);
  EXPECT_EQ((tiny * 1).sum().item<float>(), 0);
  at::globalContext().setFlushDenormal(false);
  at::set_num_threads(before);
}

TEST(Runtime, RefusesThreadsThatNoMachineHas) {
  const int before = at::get_num_threads();
  EXPECT_THROW(tune({.threads = -1}), ConfigError);
  EXPECT_THROW(tune({.threads = kMostThreads + 1}), ConfigError);
  EXPECT_THROW(tune({.threads = (int64_t{1} << 32) + 1}), ConfigError) << "1 as an int";
  EXPECT_EQ(at::get_num_threads(), before);
}

}  // namespace
}  // namespace elbo::runtime
