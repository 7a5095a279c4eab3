// What most sources of the library include, compiled once. What few include is better left to
// them: whatever stands here is instantiated again in every source, used or not.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <numbers>
#include <optional>
#include <string>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
