// The registry's entry of a law, made where the law is instantiated.
#pragma once

#include "elbo/distributions/registry.h"

namespace elbo::detail {

template <class Self, class Law>
LawInfo law_info() {
  constexpr size_t kArity = Law::kParameters.size();
  return {Law::kName,
          {Law::kParameters.begin(), Law::kParameters.end()},
          [](const std::vector<at::Tensor>& p, Validate validate) {
            return [&]<size_t... I>(std::index_sequence<I...>)->DistributionPtr {
              return std::make_shared<Self>(p[I]..., validate);
            }
            (std::make_index_sequence<kArity>{});
          }};
}

}  // namespace elbo::detail
