// What most commands include.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
