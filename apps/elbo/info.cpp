#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "support/arguments.h"
#include "support/loaded_run.h"

namespace elbo::cli {
namespace {

void info(const std::string& path, bool json) {
  const auto run = open_description(path);
  const auto metrics = run.directory.read_metrics();
  auto out = run.description;
  int64_t parameters = 0;
  for (const auto& [name, parameter] : named_parameters(*run.model))
    parameters += parameter.numel();
  out["parameters"] = parameters;
  if (!metrics.empty()) out["last"] = metrics.back();
  if (json) {
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("run         {}\nmodel       {}\ndata        {}\nparameters  {}\n", path,
             out["model"].dump(), out["data"].dump(), parameters);
  if (!metrics.empty()) fmt::print("last epoch  {}\n", metrics.back().dump());
}

}  // namespace

void add_info(CLI::App& program) {
  auto* command = program.add_subcommand("info", "What a run is and where its training stands");
  struct Arguments {
    std::string run;
    uint64_t seed = 0;
    bool json = false;
  };
  auto a = std::make_shared<Arguments>();
  command->add_option("RUN", a->run, "a run directory")->required();
  command->add_flag("--json", a->json, "one JSON object on standard output");
  add_seed(*command, a->seed, "not used: nothing is random");
  command->footer("Example: elbo info runs/digits");
  command->callback([a] { info(a->run, a->json); });
}

}  // namespace elbo::cli
