#include "kernels/detail/team.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "kernels/detail/share.h"

namespace elbo::detail {
namespace {

/// So many threads while it lives.
class Threads {
 public:
  explicit Threads(int count) { at::set_num_threads(count); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { at::set_num_threads(before_); }

 private:
  int before_ = at::get_num_threads();
};

/// How often each of [0, 1000) was visited by parts of a range.
std::vector<int> visits(int64_t grain) {
  std::vector<int> seen(1000, 0);
  parallel_for(0, 1000, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
  });
  return seen;
}

TEST(Team, VisitsEachPartOnce) {
  const std::vector<int> once(1000, 1);
  for (const int threads : {1, 2, 3}) {
    const Threads these(threads);
    for (const int64_t grain : {1, 7, 400, 5000}) {
      EXPECT_EQ(visits(grain), once) << threads << " threads, grain " << grain;
      team::gather([&] {
        for (int repeat = 0; repeat < 50; ++repeat) EXPECT_EQ(visits(grain), once);
      });
    }
  }
}

TEST(Team, HasOneThreadWithinAPart) {
  const Threads three(3);
  EXPECT_EQ(team::size(), 3);
  std::atomic<int64_t> largest = 0;
  const auto look = [&](int64_t) { largest = std::max<int64_t>(largest, team::size()); };
  for_parts(3, look);
  team::gather([&] {
    EXPECT_EQ(team::size(), 3);
    team::gather([&] { EXPECT_EQ(team::size(), 3); });  // within one, the same
    for_parts(3, look);
  });
  EXPECT_EQ(largest, 1);
}

TEST(Team, PassesOnWhatIsThrown) {
  const Threads three(3);
  for (const int64_t thrower : {0, 2}) {
    const auto part = [&](int64_t p) {
      if (p == thrower) throw std::runtime_error("part");
    };
    EXPECT_THROW(for_parts(3, part), std::runtime_error);
    EXPECT_THROW(team::gather([&] { for_parts(3, part); }), std::runtime_error);
    team::gather([&] {
      EXPECT_THROW(for_parts(3, part), std::runtime_error);
      EXPECT_EQ(visits(1), std::vector<int>(1000, 1));  // it goes on
    });
  }
  EXPECT_THROW(team::gather([] { throw std::runtime_error("body"); }), std::runtime_error);
}

TEST(Share, CoversColumnsInOrder) {
  for (const int64_t columns : {0, 1, 3, 40, 500, 784, 785})
    for (const int64_t parts : {1, 2, 3, 7}) {
      int64_t next = 0;
      for (int64_t part = 0; part < parts; ++part) {
        const Share own = share_of(columns, part, parts);
        EXPECT_EQ(own.begin, next);
        next = own.end;
      }
      EXPECT_EQ(next, columns);
    }
}

}  // namespace
}  // namespace elbo::detail
