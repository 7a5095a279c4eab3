// The conjugate families' parts: see conjugate.h.
#pragma once

#include <memory>
#include <string>

#include "elbo/distributions/conjugate.h"

namespace elbo::detail {

/// Normal and MultivariateNormal.
std::shared_ptr<const ConjugateFamily> conjugate_gaussian(const std::string& law,
                                                          const WeightedMleOptions& options,
                                                          ConjugatePrior prior);

}  // namespace elbo::detail
