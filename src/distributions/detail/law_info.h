// The registry's entry of a law, made where the law is compiled.
#pragma once

#include "elbo/distributions/registry.h"

namespace elbo::detail {

template <class Self, size_t kArity>
LawInfo law_info(const char* name, const std::array<Parameter, kArity>& parameters) {
  return {name,
          {parameters.begin(), parameters.end()},
          [](const std::vector<at::Tensor>& p, Validate validate) {
            return [&]<size_t... I>(std::index_sequence<I...>)->DistributionPtr {
              return std::make_shared<Self>(p[I]..., validate);
            }
            (std::make_index_sequence<kArity>{});
          }};
}

}  // namespace elbo::detail
