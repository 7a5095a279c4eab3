// What nearly every test includes.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <immintrin.h>

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numbers>
#include <optional>
#include <string>
#include <vector>
