#include "elbo/distributions/registry.h"

#include <fmt/format.h>

namespace elbo {

DistributionPtr make_law(const std::string& name, const std::vector<at::Tensor>& parameters,
                         Validate validate) {
  for (const LawInfo& law : univariate_laws()) {
    if (law.name != name) continue;
    if (law.parameters.size() != parameters.size())
      throw ConfigError(fmt::format("{}: {} parameters; expected {}", name, parameters.size(),
                                    law.parameters.size()));
    return law.make(parameters, validate);
  }
  throw ConfigError("make_law: no law '" + name + "'");
}

}  // namespace elbo
