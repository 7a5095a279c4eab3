// The laws on the line by their names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "elbo/distributions/univariate.h"

namespace elbo {

struct LawInfo {
  std::string name;
  std::vector<Parameter> parameters;
  /// From as many tensors as parameters, in their order.
  std::function<DistributionPtr(const std::vector<at::Tensor>&, Validate)> make;
};

/// Every law on the line whose parameters are numbers, in alphabetical order.
[[nodiscard]] const std::vector<LawInfo>& univariate_laws();

/// **Throws** ConfigError for a name that is not there or another number of parameters.
[[nodiscard]] DistributionPtr make_law(const std::string& name,
                                       const std::vector<at::Tensor>& parameters,
                                       Validate validate = Validate::kYes);

}  // namespace elbo
