#include "kernels/detail/share.h"

#include <sched.h>

#include <atomic>
#include <fstream>
#include <string>

namespace elbo::detail {
namespace {

/// The processors that have this one's third cache, as Linux lists them; empty where there is none.
std::string third_cache_of(int cpu) {
  std::ifstream in("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                   "/cache/index3/shared_cpu_list");
  std::string list;
  std::getline(in, list);
  return list;
}

bool look_for_common_cache() {
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof usable, &usable) != 0) return false;
  std::string common;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &usable)) continue;
    const auto list = third_cache_of(cpu);
    if (list.empty() || (!common.empty() && list != common)) return false;
    common = list;
  }
  return !common.empty();
}

std::atomic<bool>& common_cache() {
  static std::atomic<bool> has = look_for_common_cache();
  return has;
}

}  // namespace

bool has_common_cache() { return common_cache(); }

AssumedCommonCache::AssumedCommonCache(bool has) : before_(common_cache().exchange(has)) {}
AssumedCommonCache::~AssumedCommonCache() { common_cache() = before_; }

}  // namespace elbo::detail
