#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "elbo/data/data_set.h"
#include "elbo/error.h"
#include "elbo/io/atomic_file.h"
#include "elbo/plotting/image_grid.h"
#include "support/arguments.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string data, picture;
  uint64_t seed = 0;
  bool json = false;
};

void list(bool json) {
  nlohmann::json out = nlohmann::json::array();
  for (const auto& set : data::known_sets()) {
    if (json)
      out.push_back({{"name", set.name}, {"description", set.description}, {"files", set.files}});
    else
      fmt::print("{:<16} {}\n", set.name, set.description);
  }
  if (json) fmt::print("{}\n", out.dump());
}

void info(const Arguments& a) {
  const auto set = data::load(a.data, {.seed = a.seed});
  const auto mean = set.train.x.to(at::kDouble).mean().item<double>() * set.scale;
  if (a.json) {
    fmt::print("{}\n", nlohmann::json({{"name", set.name},
                                       {"source", set.source},
                                       {"train", set.train.rows()},
                                       {"test", set.test.rows()},
                                       {"event_shape", set.event_shape},
                                       {"scale", set.scale},
                                       {"labels", set.train.labels.defined()},
                                       {"missing", set.train.mask.defined()},
                                       {"mean", mean}})
                           .dump());
  } else {
    fmt::print("name    {}\nsource  {}\nrows    {} to train, {} to test\nshape   [{}]\n", set.name,
               set.source, set.train.rows(), set.test.rows(), fmt::join(set.event_shape, ", "));
    fmt::print("stored  {}, times {:.6g}\nmean    {:.6g}\nlabels  {}\nmissing {}\n",
               std::string(set.train.x.dtype().name()), set.scale, mean,
               set.train.labels.defined() ? "yes" : "no", set.train.mask.defined() ? "yes" : "no");
  }
  if (a.picture.empty()) return;
  if (set.event_shape.size() != 2)
    throw ConfigError(a.data + ": --picture needs rows that are pictures");
  const auto count = std::min<int64_t>(100, set.train.rows());
  const auto x = set.train.x.narrow(0, 0, count).to(at::kFloat) * set.scale;
  io::write_file(a.picture, plotting::image_grid_png(x, {.columns = 10, .scale = 2}));
}

}  // namespace

void add_data(CLI::App& program) {
  auto* command = program.add_subcommand("data", "Data sets");
  command->require_subcommand(1);
  command->footer("Example: elbo data info digits --picture digits.png");
  auto a = std::make_shared<Arguments>();
  auto* list_command = command->add_subcommand("list", "The sets known by name");
  list_command->add_flag("--json", a->json, "a JSON array on standard output");
  add_seed(*list_command, a->seed, "not used: nothing is random");
  list_command->footer("Example: elbo data list");
  list_command->callback([a] { list(a->json); });
  auto* info_command = command->add_subcommand("info", "Rows, shape and source of a set or file");
  info_command->add_option("DATA", a->data, "a data set's name or file")->required();
  info_command->add_option("--picture", a->picture, "FILE.png of its first 100 rows");
  info_command->add_flag("--json", a->json, "one JSON object on standard output");
  add_seed(*info_command, a->seed, "of the built-in digits");
  info_command->footer("Example: elbo data info digits --picture digits.png");
  info_command->callback([a] { info(*a); });
}

}  // namespace elbo::cli
