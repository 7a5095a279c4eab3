// The registry's laws and their tables.
#pragma once

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdlib>
#include <map>

#include "distributions/table.h"
#include "elbo/distributions/registry.h"

namespace elbo::testing {

/// The row of a table that tests of shapes and differences take: a moderate one.
inline constexpr size_t kTypicalRow = 7;

inline const json& law_fixture(const std::string& law) {
  static std::map<std::string, json> tables;
  auto& table = tables[law];
  if (table.is_null()) {
    std::ifstream in(ELBO_SOURCE_DIR "/tests/distributions/fixtures/laws/" + law + ".json");
    if (!in) throw NoInputError(law + ": no table; tools/fixtures/laws.py makes it");
    table = json::parse(in);
  }
  return table;
}

inline const LawInfo& law_info_of(const std::string& name) {
  for (const auto& law : univariate_laws())
    if (law.name == name) return law;
  throw ConfigError("no law " + name);
}

inline std::vector<std::string> law_names() {
  std::vector<std::string> names;
  for (const auto& law : univariate_laws()) names.push_back(law.name);
  return names;
}

inline std::vector<at::Tensor> tensors(const json& parameters, at::ScalarType type) {
  std::vector<at::Tensor> out;
  for (const json& p : parameters) out.push_back(at::full({}, number(p), type));
  return out;
}

/// dy / dparameters; zeros where y does not depend on one.
inline std::vector<at::Tensor> torch_gradients(const at::Tensor& y,
                                               const std::vector<at::Tensor>& parameters) {
  auto found = torch::autograd::grad({y}, parameters, {}, c10::nullopt, false, true);
  for (size_t i = 0; i < found.size(); ++i)
    if (!found[i].defined()) found[i] = at::zeros_like(parameters[i]);
  return found;
}

}  // namespace elbo::testing
