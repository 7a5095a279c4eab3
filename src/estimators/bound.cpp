#include "elbo/estimators/bound.h"

#include <ATen/ATen.h>

namespace elbo {

at::Tensor Bound::rows() const { return combined.defined() ? combined : reconstruction - kl; }

at::Tensor Bound::per_datum() const {
  auto value = weights.defined() ? (rows() * weights).mean() : rows().mean();
  if (global.defined()) value = value + global.mean() / static_cast<double>(total);
  return value;
}

at::Tensor Bound::full_data() const { return per_datum() * static_cast<double>(total); }

}  // namespace elbo
