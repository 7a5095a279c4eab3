#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>

#include "commands.h"
#include "elbo/error.h"
#include "elbo/kernels/runtime.h"
#include "support/arguments.h"
#include "support/figures.h"
#include "support/interrupt.h"
#include "support/progress_bar.h"
#include "support/reproduction.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string figure, only, out = "runs/paper";
  double budget = 1e7;
  uint64_t seed = 0;
  int64_t threads = 0, seeds = 3;
  bool json = false;
};

struct Outcomes {
  std::vector<std::string> diverged;
  bool stopped = false;
};

/// Trains the curves one after the other, with one bar for all.
Outcomes train(Reproduction& reproduction, const std::vector<Curve>& curves) {
  for (const Curve& curve : curves) (void)reproduction.data(curve);
  for (const Curve& curve : curves) reproduction.check(curve);
  std::vector<int64_t> done;
  int64_t total = 0, sum = 0;
  for (const Curve& curve : curves) {
    const auto points = reproduction.recorded(curve);
    const int64_t target = reproduction.target(curve);
    done.push_back(points.empty() ? 0 : std::min(points.back().samples, target));
    total += target;
    sum += done.back();
  }
  ProgressBar bar;
  Outcomes out;
  for (size_t i = 0; i < curves.size() && !out.stopped; ++i) {
    if (reproduction.finished(curves[i])) continue;
    const int64_t others = sum - done[i];
    Reproduction::Hooks hooks;
    hooks.on_step = [&](const Progress& p) {
      done[i] = p.samples;
      Progress whole = p;
      whole.samples = others + p.samples;
      whole.total_samples = total;
      bar.quantity = curves[i].learner == "mcem" ? "log p(x, z)" : "bound";
      bar.update(whole, curves[i].name());
    };
    ProgressBar choice;
    hooks.on_choice = [&](int64_t tried, int64_t updates) {
      choice.update(tried, updates, "updates to choose the rate of " + curves[i].name());
      if (tried == updates) choice.clear();
    };
    hooks.should_stop = interrupted;
    hooks.say = [&](const std::string& line) {
      bar.clear();
      choice.clear();
      fmt::print(stderr, "elbo: {}\n", line);
    };
    try {
      out.stopped = interrupted() || reproduction.run(curves[i], hooks) == Outcome::kStopped;
    } catch (const NumericError& e) {
      hooks.say(fmt::format("{}: {}", curves[i].name(), e.what()));
      out.diverged.push_back(curves[i].name());
    }
    sum = others + done[i];
  }
  bar.clear();
  return out;
}

/// The command that does what is left: of the selected curves, else of all.
void print_rest(const Arguments& a, const std::vector<std::string>& remaining, bool selected_remain,
                size_t curves) {
  if (remaining.empty()) return;
  std::string names;
  for (const auto& name : remaining) names += (names.empty() ? "" : ", ") + name;
  fmt::print("{} of the figure's {} curves finished; to go: {}\n", curves - remaining.size(),
             curves, names);
  const auto setting = [](bool given, const std::string& text) { return given ? text : ""; };
  fmt::print("go on with: elbo reproduce {} --out {} --budget {:g}{}{}{}{}\n", a.figure, a.out,
             a.budget, setting(selected_remain && !a.only.empty(), " --only " + a.only),
             setting(a.seed != 0, fmt::format(" --seed {}", a.seed)),
             setting(a.seeds != Arguments{}.seeds, fmt::format(" --seeds {}", a.seeds)),
             setting(a.threads != 0, fmt::format(" --threads {}", a.threads)));
}

void reproduce(const Arguments& a) {
  catch_interrupts();
  if (!(a.budget >= 1 && a.budget <= 1e12))
    throw ConfigError(fmt::format("--budget {:g}; expected samples, from 1 to 1e12", a.budget));
  if (a.seeds != Arguments{}.seeds && a.figure != "figure3")
    throw ConfigError(fmt::format("--seeds {}: {} has one curve of each kind; expected figure3",
                                  a.seeds, a.figure));
  const auto curves = curves_of(a.figure, a.seed, a.seeds);
  const auto selected = select(curves, a.only);
  runtime::tune({.threads = a.threads});
  Reproduction reproduction({.out = a.out,
                             .budget = static_cast<int64_t>(std::ceil(a.budget)),
                             .seed = a.seed,
                             .threads = a.threads});
  const auto outcomes = train(reproduction, selected);

  const auto files = draw_figure(a.figure, curves, reproduction, a.out);
  const auto summary = summary_of(a.figure, curves, reproduction);
  const auto is_left = [&](const Curve& curve) {
    return !reproduction.begun(curve) || !reproduction.finished(curve);
  };
  std::vector<std::string> remaining;
  for (const Curve& curve : curves)
    if (is_left(curve)) remaining.push_back(curve.name());
  if (a.json) {
    fmt::print(
        "{}\n",
        nlohmann::ordered_json{
            {"figure", a.figure}, {"files", files}, {"remaining", remaining}, {"summary", summary}}
            .dump());
  } else {
    fmt::print("{}", summary_text(a.figure, summary));
    for (const auto& file : files) fmt::print("wrote {}\n", file);
    print_rest(a, remaining, std::any_of(selected.begin(), selected.end(), is_left), curves.size());
  }
  if (!outcomes.diverged.empty())
    throw NumericError(fmt::format("reproduce: {} of {} curves diverged, {} the first",
                                   outcomes.diverged.size(), selected.size(),
                                   outcomes.diverged.front()));
}

}  // namespace

void add_reproduce(CLI::App& program) {
  auto* command = program.add_subcommand("reproduce", "The figures of the AEVB paper");
  auto a = std::make_shared<Arguments>();
  command->add_option("FIGURE", a->figure, "which: learning curves, manifolds, samples")
      ->required()
      ->check(CLI::IsMember({"figure2", "figure3", "figure4", "figure5"}));
  command->add_option("--out", a->out, "the folder of runs and figures; goes on with what is there")
      ->default_str("runs/paper");
  command->add_option("--budget", a->budget, "samples evaluated a curve, rounded up to epochs")
      ->default_str("1e7");
  command->add_option("--only", a->only, "some of the curves: mnist-3,frey-2-aevb");
  command
      ->add_option("--seeds", a->seeds,
                   "of figure3: trainings of each curve, seeds --seed, + 1, ...")
      ->check(integer(1, 1000))
      ->default_str("3");
  add_threads(*command, a->threads);
  command->add_flag("--json", a->json, "what was found as JSON on standard output");
  add_seed(*command, a->seed, "of weights, order and noise");
  command->footer(
      "Ctrl-C saves; the same command goes on. MNIST and Frey Face are read from $ELBO_DATA.\n"
      "Example: elbo reproduce figure2 --budget 1e6");
  command->callback([a] { reproduce(*a); });
}

}  // namespace elbo::cli
