// What the bijections share.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "elbo/distributions/bijection.h"
#include "elbo/distributions/distribution.h"

namespace elbo::detail {

/// Throws ShapeError where `shape` has fewer dimensions than an element.
void check_dims(const std::string& name, at::IntArrayRef shape, int64_t dims);

/// Raises positive values that were rounded to 0 to the smallest normal number.
at::Tensor at_least_tiny(const at::Tensor& x);

/// log(1 / cosh u)
at::Tensor log_sech(const at::Tensor& u);

/// log(e^x - 1)
at::Tensor inverse_softplus(const at::Tensor& x);

/// Lower triangular L with a positive diagonal to L L^T.
BijectionPtr gram();

}  // namespace elbo::detail
