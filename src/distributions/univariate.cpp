#include <ATen/ATen.h>

#include "distributions/detail/univariate_impl.h"

namespace elbo::detail {

at::Tensor in_range(const at::Tensor& value, Range range) {
  const auto x = value.detach();
  switch (range) {
    case Range::kReal:
      return x.isfinite();
    case Range::kPositive:
      return x > 0;
    case Range::kNonNegative:
      return x >= 0;
    case Range::kUnit:
      return x.ge(0).logical_and(x.le(1));
    case Range::kOpenUnit:
      return x.gt(0).logical_and(x.lt(1));
    case Range::kCount:
      return x.ge(0).logical_and(x.eq(x.floor()));
    case Range::kPositiveCount:
      return x.ge(1).logical_and(x.eq(x.floor()));
  }
  throw ConfigError("unknown Range");
}

const char* words(Range range) {
  switch (range) {
    case Range::kReal:
      return "finite";
    case Range::kPositive:
      return "> 0";
    case Range::kNonNegative:
      return ">= 0";
    case Range::kUnit:
      return "in [0, 1]";
    case Range::kOpenUnit:
      return "in (0, 1)";
    case Range::kCount:
      return "a whole number >= 0";
    case Range::kPositiveCount:
      return "a whole number >= 1";
  }
  throw ConfigError("unknown Range");
}

}  // namespace elbo::detail
