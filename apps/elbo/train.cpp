#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>

#include "commands.h"
#include "elbo/error.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/io/atomic_file.h"
#include "elbo/kernels/runtime.h"
#include "elbo/training/trainer.h"
#include "support/interrupt.h"
#include "support/learner.h"
#include "support/learning.h"
#include "support/loaded_run.h"
#include "support/progress_bar.h"
#include "support/report.h"
#include "support/semi_supervised.h"
#include "support/train_em.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string data, out, config;
  Values flags;
  bool resume = false, json = false;
};

// Settings of a run that goes on: its own, where only what does not change the course may differ.
Settings resumed_settings(const LoadedRun& run, const Values& flags) {
  Settings s = run.settings;
  for (const auto& [name, value] : flags) {
    const bool free = name == "threads" || ((name == "epochs" || name == "samples") &&
                                            s.word("lr-schedule") == "constant");
    if (!free && s.word(name) != value)
      throw ConfigError(
          fmt::format("--{} {}: the run was started with {}; expected no other value "
                      "on --resume",
                      name, value, s.word(name)));
    s.set(name, value);
  }
  return s;
}

void finish(const LoadedRun& run, const data::DataSet& set, const Trainer& trainer, Outcome outcome,
            bool json) {
  save_weights(run.directory, *run.model);
  const auto path = run.directory.path().string();
  if (run.settings.word("device") == "cpu")
    write_report(run, set);
  else
    write_report(open_run(path), set);
  const auto metrics = run.directory.read_metrics();
  const auto last = metrics.empty() ? nlohmann::json::object() : metrics.back();
  if (json) {
    fmt::print("{}\n", last.dump());
    return;
  }
  if (outcome == Outcome::kStopped) {
    fmt::print("stopped at step {}; go on with: elbo train --out {} --resume\n",
               trainer.progress().step, path);
    return;
  }
  if (last.contains("test_elbo"))
    fmt::print("test bound {:.4f} nats per datum\n", last["test_elbo"].get<double>());
  if (last.contains("test_error"))
    fmt::print("test error {:.2f} %\n", 100 * last["test_error"].get<double>());
  const auto data = run.description.at("data").at("name").get<std::string>();
  if (!learns_guide(run.settings))
    fmt::print("log p(x): elbo evaluate {} {} --estimator hmc\n", path, data);
  if (run.settings.word("weights") == "bayes")  // the bound above pays for drawing them
    fmt::print("how well it predicts: elbo evaluate {} {} --weights predictive\n", path, data);
  fmt::print("wrote {}: open {} in a browser\n", path, run.directory.report().string());
}

void warn_if_sigma_binds(double sigma, double floor) {
  if (sigma < 1.05 * floor)
    fmt::print(
        stderr,
        "elbo: note: the smallest sigma of p(x|z), {:.4g}, is at its floor {:.4g}: the bound "
        "depends on --sigma-min\n",
        sigma, floor);
}

void train(const Arguments& a) {
  catch_interrupts();
  std::unique_ptr<LoadedRun> run;
  const Values config = a.resume || a.config.empty() ? Values{} : read_config(a.config);
  Settings s = a.resume ? Settings(Values{}, Values{}) : Settings(a.flags, config);
  std::string spec = a.data;
  if (a.resume) {
    run = std::make_unique<LoadedRun>(open_description(a.out));
    s = resumed_settings(*run, a.flags);
    std::error_code none;
    if (s.kind_of_learner() != "gradient" &&
        std::filesystem::exists(run->directory.weights(), none))
      throw ConfigError(
          fmt::format("--resume: {} has ended; --learner {} keeps no checkpoints: "
                      "train anew, in another --out",
                      a.out, s.word("learner")));
    const auto of_run = run->description.at("data").at("name").get<std::string>();
    if (!spec.empty() && spec != of_run)
      throw ConfigError(fmt::format("DATA = {}: the run was started on {}", spec, of_run));
    spec = of_run;
  } else if (spec.empty()) {
    throw ConfigError("train: no DATA given; expected a name (see elbo data list) or a file");
  }
  for (const Values* given : {&a.flags, &config}) s.check_effect(*given);
  check_learner(s);
  runtime::tune({.threads = s.integer("threads")});

  auto set = data::load(
      spec, {.test_file = s.word("test"), .seed = static_cast<uint64_t>(s.integer("data-seed"))});
  keep_train_rows(set, s);
  const auto options = tensor_options(s).device(at::Device(s.word("device")));
  if (!run) {
    auto model = make_model(model_config(s, set), options);
    check_data(set, *model);
    auto directory = io::RunDirectory::create(a.out);
    run = std::make_unique<LoadedRun>(LoadedRun{std::move(directory), describe(s, set, spec), s,
                                                std::move(model), set.event_shape});
  } else if (!options.device().is_cpu()) {  // a run is opened on the CPU
    run->model = make_model(run->description.at("model"), options);
  }
  const auto lock = run->directory.lock();
  DiscardUnlessKept discard{run->directory};
  check_data(set, *run->model);

  const auto binarize = data::parse_binarize(s.word("binarize"));
  const auto source = labelled_source({set.train, set.scale, binarize, options}, set, s);
  const auto seed = static_cast<uint64_t>(s.integer("seed"));
  load_features(*run, a.resume);
  if (s.word("lr") == "auto") {
    ProgressBar bar;
    const auto rate = chosen_rate(
        *run->model, s, source,
        {.on_update = [&](int64_t done,
                          int64_t total) { bar.update(done, total, "updates to choose --lr"); },
         .should_stop = interrupted});
    bar.clear();
    if (!rate) {
      fmt::print("{}\n", a.json ? "{}" : "stopped while choosing --lr: nothing was kept");
      return;
    }
    s.set("lr", fmt::format("{}", *rate));
    fmt::print(stderr, "elbo: chose --lr {}\n", s.word("lr"));
  }
  run->settings = s;
  run->description["settings"] = s.to_json();
  io::write_file(run->directory.model_json(), run->description.dump(2) + "\n");
  if (s.kind_of_learner() != "gradient") {
    if (a.resume) {  // it was killed: what is left of it is its settings
      run->directory.truncate_metrics(0);
      fmt::print(stderr, "elbo: {} has no result yet: starting from the beginning\n", a.out);
    }
    train_by_em(*run, set, source, a.json);
    discard.kept = true;
    return;
  }
  initialise_model(*run->model, nn::parse_init(s.word("init")), seed);
  // What is not learnt is in no checkpoint: --resume finds it here.
  if (!a.resume && !run->model->fixed().empty()) save_weights(run->directory, *run->model);
  const auto trainee = make_learner(*run->model, s, s.real("lr"), source.rows());

  Trainer trainer(trainer_options(s), *trainee.learner, *trainee.optimizer, source, run->directory);
  ProgressBar bar;
  if (!learns_guide(s)) bar.quantity = "log p(x, z)";
  trainer.on_step = [&](const Progress& p) { bar.update(p); };
  double sigma = std::numeric_limits<double>::infinity();
  std::optional<data::BatchSource> test;
  if (set.test.rows() > 0 && learns_guide(s)) test.emplace(set.test, set.scale, binarize, options);
  trainer.on_epoch = [&](const Progress&) {
    auto out = trainee.diagnostics ? trainee.diagnostics() : nlohmann::json::object();
    if (!test) return out;
    EvaluateOptions evaluation;
    evaluation.seed = seed;
    const auto e = evaluate_elbo(*run->model, *test, evaluation);
    out.update({{"test_elbo", e.mean},
                {"test_standard_error", e.standard_error},
                {"test_reconstruction", e.reconstruction},
                {"test_kl", e.kl}});
    out.update(test_error(*run->model, set, *test));
    sigma = smallest_sigma(*run->model, *test, evaluation);
    if (std::isfinite(sigma)) out["smallest_sigma"] = sigma;
    return out;
  };
  trainer.should_stop = interrupted;
  if (a.resume && !trainer.resume()) {
    run->directory.truncate_metrics(0);
    fmt::print(stderr, "elbo: {} has no checkpoint yet: starting from the beginning\n", a.out);
  }
  const Outcome outcome = trainer.run();
  bar.clear();
  if (s.word("model") == "vae") warn_if_sigma_binds(sigma, s.real("sigma-min"));
  discard.kept = true;
  finish(*run, set, trainer, outcome, a.json);
}

}  // namespace

void add_train(CLI::App& program) {
  auto* command = program.add_subcommand("train", "Learn a model of a data set");
  auto a = std::make_shared<Arguments>();
  command->add_option("DATA", a->data, "a data set's name (elbo data list) or file");
  command->add_option("--out", a->out, "the run directory to make")->required();
  command->add_option("--config", a->config, "a file of key = value lines, keys as the flags");
  command->add_flag("--resume", a->resume, "go on from the last checkpoint in --out");
  command->add_flag("--json", a->json, "the last epoch's figures as JSON on standard output");
  add_flags(*command, a->flags);
  command->footer(
      "A flag goes before the config file, that before the preset, that before the default.\n"
      "Example: elbo train digits --out runs/digits --latent 10\n"
      "Example: elbo train digits --out runs/few-labels --model semi-supervised --labels 100\n"
      "Example: elbo train table.csv --out runs/clusters --model mixture --components 5\n"
      "Example: elbo train table.csv --out runs/plane --model ppca --latent 2");
  command->callback([a] { train(*a); });
}

}  // namespace elbo::cli
