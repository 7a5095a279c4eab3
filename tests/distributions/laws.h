// The registry's laws and their tables.
#pragma once

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdlib>
#include <map>

#include "distributions/table.h"
#include "elbo/distributions/registry.h"
#include "support/source_dir.h"

namespace elbo::testing {

/// The row of a table that tests of shapes and differences take: a moderate one.
inline constexpr size_t kTypicalRow = 7;

inline const json& law_fixture(const std::string& law) {
  static std::map<std::string, json> tables;
  auto& table = tables[law];
  if (table.is_null()) {
    std::ifstream in(elbo::testing::source_dir() + "/tests/distributions/fixtures/laws/" + law +
                     ".json");
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

/// The largest |a - b| / max(1, |b|) of a method, and where.
struct Worst {
  double error = 0;
  std::string where = "-";
  void see(double a, double b, const std::function<std::string()>& at) {
    if (a == b || (std::isnan(a) && std::isnan(b))) return;
    double e = std::abs(a - b) / std::max(1.0, std::abs(b));
    if (std::isnan(e)) e = std::numeric_limits<double>::infinity();
    if (e <= error) return;
    error = e;
    where = at();
  }
};

/// The worst of every method over the whole table.
inline std::map<std::string, Worst> compare(const LawInfo& info, at::ScalarType type) {
  std::map<std::string, Worst> worst;
  const double largest = type == at::kFloat ? 3e38 : 1e308;
  for (const json& row : law_fixture(info.name).at("rows")) {
    const auto law = info.make(tensors(row.at("params"), type), Validate::kYes);
    const auto see = [&](const char* method, const json& record, const json& expected,
                         const std::function<at::Tensor()>& got) {
      try {
        const double value = got().item<double>();
        const double wanted = number(expected);
        if (std::isfinite(wanted) && std::abs(wanted) > largest) return;  // float32 has no such
        worst[method].see(value, wanted, [&] {
          return fmt::format("{} {}: {:.17g}, expected {:.17g}", row.at("params").dump(),
                             record.dump().substr(0, 60), value, wanted);
        });
      } catch (const UnsupportedError&) {
        worst[std::string(method) + " (unsupported)"];
      }
    };
    for (const json& point : row.at("points")) {
      const auto x = at::full({}, number(point.at("x")), type);
      for (const auto& [name, method] : kOfX)
        if (point.contains(name))
          see(name, point, point.at(name), [&, m = method] { return ((*law).*m)(x); });
    }
    for (const json& quantile : row.at("quantiles"))
      see("icdf", quantile, quantile.at("icdf"),
          [&] { return law->icdf(at::full({}, number(quantile.at("u")), type)); });
    for (const auto& [name, method] : kOfParameters)
      if (row.contains(name))
        see(name, json(), row.at(name), [&, m = method] { return ((*law).*m)(); });
  }
  return worst;
}

inline void expect_table(const LawInfo& info, at::ScalarType type, double tolerance) {
  for (const auto& [method, worst] : compare(info, type)) {
    EXPECT_LE(worst.error, tolerance) << info.name << "." << method << " " << worst.where;
    ::testing::Test::RecordProperty(method, fmt::format("{:.1e}", worst.error));
    if (std::getenv("ELBO_PRINT_WORST") != nullptr)
      fmt::print("worst {} {} {:.1e}\n", info.name, method, worst.error);
  }
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
