// What the M step of EM does with one site of a program.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "elbo/distributions/weighted_mle.h"

namespace elbo {

struct MStep {
  std::string site;  ///< observed, or latent and enumerated
  std::shared_ptr<const WeightedMle> family;
  /// The family's parameters as the program reads them, in the order of `parameter_names()`; EM
  /// writes them in place. Each is [P..., E...], P the sizes of the enumerated sites that the law
  /// depends on, in the order they run: [K, d] of a mixture's means, [K] of its weights.
  std::vector<at::Tensor> parameters;
};

}  // namespace elbo
