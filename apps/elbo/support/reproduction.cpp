#include "support/reproduction.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <sstream>

#include "elbo/data/minibatch.h"
#include "elbo/data/split.h"
#include "elbo/distributions.h"
#include "elbo/error.h"
#include "elbo/evaluation/posterior_evidence.h"
#include "elbo/io/atomic_file.h"
#include "support/learner.h"
#include "support/learning.h"
#include "support/report.h"

namespace elbo::cli {
namespace {

namespace fs = std::filesystem;

// AEVB 5: "the Frey Face dataset ... is considerably smaller"; the split is ours.
constexpr int64_t kFreyTestRows = 400;
// What a point of a curve is evaluated on: the same rows at every point, of all runs.
constexpr int64_t kEvaluatedRows = 1000;
constexpr int64_t kEvaluationDraws = 4;
constexpr uint64_t kSplitSeed = 0, kSubsetSeed = 1;
// Figure 3's training rows, as was customary for MNIST, and of its small training set: those that a
// point is evaluated on.
constexpr int64_t kLargeRows = 50'000;

constexpr int64_t kEvidenceBatch = 50;
/// log p(x) at a point (docs/reproduction.md has what was measured of it).
PosteriorEvidenceOptions evidence_options() {
  return {.chains = 4,
          .draws = 40,
          .warm_up = 20,
          .hmc = {.leapfrog_steps = 4, .target_acceptance = 0.8},
          .candidates = 500,
          .kernel = false};
}

data::Part first_rows(const data::Part& part, int64_t count) {
  std::vector<int64_t> rows(static_cast<size_t>(std::min(count, part.rows())));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  return data::rows_of(part, rows);
}

data::Part subset(const data::Part& part) {
  auto rows = data::epoch_order(kSubsetSeed, 0, part.rows());
  rows.resize(static_cast<size_t>(std::min(kEvaluatedRows, part.rows())));
  std::sort(rows.begin(), rows.end());
  return data::rows_of(part, rows);
}

/// The points of a curve, written as they come.
class Recorder {
 public:
  Recorder(const LoadedRun& run, const data::DataSet& set, const Curve& curve)
      : run_(run),
        measure_(curve.measure),
        first_quarter_(curve.first_quarter),
        train_(source(run, set, set.train)),
        test_(source(run, set, set.test)),
        file_(run.directory.path() / "curve.csv") {}

  /// Forgets what lies beyond the point from which training goes on.
  void begin(LearningCurve curve, int64_t samples) {
    while (!curve.empty() && curve.back().samples > samples) curve.pop_back();
    curve_ = std::move(curve);
    next_ = next_curve_point(samples, first_quarter_);
  }
  void see(const Progress& progress) {
    if (progress.samples >= next_ && progress.samples < progress.total_samples) record(progress);
  }
  void record(const Progress& progress) {
    const auto start = std::chrono::steady_clock::now();
    curve_.push_back({.samples = progress.samples,
                      .gradient_evaluations = progress.gradient_evaluations,
                      .seconds = progress.seconds,
                      .train = value(train_),
                      .test = value(test_)});
    io::write_file(file_, to_csv(curve_, measure_));
    next_ = next_curve_point(progress.samples, first_quarter_);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  /// Spent on points, in this sitting.
  [[nodiscard]] double seconds() const { return seconds_; }

 private:
  static data::BatchSource source(const LoadedRun& run, const data::DataSet& set,
                                  const data::Part& part) {
    return {subset(part), set.scale, data::parse_binarize(run.settings.word("binarize")),
            run.options().dtype().toScalarType()};
  }
  [[nodiscard]] CurveValue value(const data::BatchSource& rows) const {
    if (measure_ == CurveMeasure::kBound)
      return CurveValue::of(
          evaluate_elbo(*run_.model, rows, {.estimator = {.num_particles = kEvaluationDraws}}));
    const auto model = run_.model->model();
    // Chains start in the prior, whatever a learner did with its guide.
    const Program prior = [&](Trace& trace, const Batch& batch) {
      const auto data = trace.plate("data", batch.rows, batch.total);
      (void)trace.sample("z",
                         Normal::standard({run_.model->latent_dim()}, batch.options()).to_event(1));
    };
    return CurveValue::of(evaluate_evidence(
        rows,
        [&](const Batch& batch, const Noise& noise) {
          return posterior_evidence(model, prior, batch, noise, evidence_options()).gaussian;
        },
        {.batch_size = kEvidenceBatch}));
  }

  const LoadedRun& run_;
  CurveMeasure measure_;
  int first_quarter_;
  data::BatchSource train_, test_;
  fs::path file_;
  LearningCurve curve_;
  int64_t next_ = 0;
  double seconds_ = 0;
};

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream in(list);
  for (std::string word; std::getline(in, word, ',');) words.push_back(word);
  return words;
}

}  // namespace

std::string Curve::setting() const { return fmt::format("{}-{}", data, latent); }
std::string Curve::group() const { return setting() + "-" + learner; }
std::string Curve::name() const { return group() + (seed ? fmt::format("-s{}", *seed) : ""); }

std::vector<Curve> curves_of(const std::string& figure, uint64_t first_seed, int64_t seeds) {
  std::vector<Curve> curves;
  const auto add = [&](const std::string& data, const std::vector<int64_t>& latent,
                       const std::vector<std::string>& learners) {
    for (const int64_t dimensions : latent)
      for (const auto& learner : learners) curves.push_back({data, dimensions, learner});
  };
  const auto add_evidence = [&](const std::string& data, const std::string& learner) {
    Values settings = {{"hidden", "100"}};
    if (learner == "mcem") settings["chain-start"] = "persistent";
    for (int64_t i = 0; i < seeds; ++i)
      curves.push_back({.data = data,
                        .latent = 3,
                        .learner = learner,
                        .seed = first_seed + static_cast<uint64_t>(i),
                        .settings = settings,
                        .measure = CurveMeasure::kLogEvidence,
                        .first_quarter = 14});
  };
  if (figure == "figure2") {
    const std::vector<std::string> both = {"aevb", "wake-sleep"};
    add("mnist", {3, 5, 10, 20, 200}, both);
    add("frey", {2, 5, 10, 20}, both);
    add("frey-last", {2, 5, 10, 20}, both);
  } else if (figure == "figure3") {
    for (const std::string data : {"mnist-1000", "mnist-50000"})
      for (const std::string learner : {"aevb", "wake-sleep", "mcem"}) add_evidence(data, learner);
  } else if (figure == "figure4") {
    add("mnist", {2}, {"aevb"});
    add("frey", {2}, {"aevb"});
  } else if (figure == "figure5") {
    add("mnist", {2, 5, 10, 20}, {"aevb"});
  } else {
    throw ConfigError("reproduce: '" + figure + "'; expected figure2, figure3, figure4 or figure5");
  }
  return curves;
}

std::vector<Curve> select(const std::vector<Curve>& curves, const std::string& only) {
  if (only.empty()) return curves;
  const auto words = words_of(only);
  const auto is = [](const Curve& curve, const std::string& word) {
    return word == curve.setting() || word == curve.group() || word == curve.name();
  };
  std::string known;
  for (const Curve& curve : curves)
    if (known.find(curve.setting() + " ") == std::string::npos) known += curve.setting() + " ";
  for (const auto& word : words)
    if (std::none_of(curves.begin(), curves.end(), [&](const Curve& c) { return is(c, word); }))
      throw ConfigError(
          fmt::format("--only '{}'; expected names with commas, of {}(one learner: {}-aevb)", word,
                      known, curves.front().setting()));
  std::vector<Curve> selected;
  for (const Curve& curve : curves)
    if (std::any_of(words.begin(), words.end(), [&](auto& word) { return is(curve, word); }))
      selected.push_back(curve);
  return selected;
}

const Reproduction::Rows& Reproduction::rows(const Curve& curve) {
  if (const auto found = rows_.find(curve.data); found != rows_.end()) return found->second;
  Rows rows;
  if (curve.data.starts_with("mnist")) {
    rows = {data::load("mnist"), "mnist", ""};
    auto& train = rows.set.train;
    if (curve.data != "mnist") {
      train = first_rows(train, kLargeRows);
      rows.split = fmt::format("the first {} training rows", train.rows());
    }
    if (curve.data == "mnist-1000") {
      train = subset(train);
      rows.split = fmt::format("{} of {}", train.rows(), rows.split);
    }
  } else {
    auto set = data::load("frey-faces", {.hold_out = false});
    if (curve.data == "frey")
      rows = {data::split_at_random(std::move(set), kFreyTestRows, kSplitSeed), "frey-faces",
              "at random"};
    else
      rows = {data::split_last(std::move(set), kFreyTestRows), "frey-faces", "the last rows"};
  }
  return rows_.emplace(curve.data, std::move(rows)).first->second;
}

const data::DataSet& Reproduction::data(const Curve& curve) { return rows(curve).set; }

fs::path Reproduction::directory(const Curve& curve) const {
  return options_.out / "runs" / curve.name();
}

LearningCurve Reproduction::recorded(const Curve& curve) const {
  const auto file = directory(curve) / "curve.csv";
  std::error_code none;
  if (!fs::exists(file, none)) return {};
  const auto bytes = io::read_file(file);
  return parse_curve({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string(),
                     curve.measure);
}

int64_t Reproduction::target(const Curve& curve) {
  const int64_t rows = data(curve).train.rows();
  return (options_.budget + rows - 1) / rows * rows;
}

bool Reproduction::finished(const Curve& curve) {
  const auto points = recorded(curve);
  std::error_code none;
  return !points.empty() && points.back().samples >= target(curve) &&
         fs::exists(directory(curve) / "weights.safetensors", none);
}

Settings Reproduction::settings(const Curve& curve) {
  const bool mnist = curve.data.starts_with("mnist");
  Values values = {{"preset", "aevb"},
                   {"learner", curve.learner},
                   {"latent", std::to_string(curve.latent)},
                   {"hidden", mnist ? "500" : "200"},
                   {"likelihood", mnist ? "bernoulli" : "gaussian-sigmoid"},
                   {"epochs", std::to_string(target(curve) / data(curve).train.rows())},
                   {"seed", std::to_string(curve.seed.value_or(options_.seed))},
                   {"threads", std::to_string(options_.threads)}};
  for (const auto& [name, value] : curve.settings) values[name] = value;
  return Settings(values, Values{});
}

nlohmann::json Reproduction::description(const Curve& curve, const Settings& settings) {
  const Rows& of = rows(curve);
  auto out = describe(settings, of.set, of.spec);
  if (!of.split.empty()) out["data"]["split"] = of.split;
  return out;
}

void Reproduction::check(const Curve& curve) {
  const auto path = directory(curve);
  std::error_code none;
  if (!fs::exists(path / "model.json", none)) return;
  const auto run = open_description(path.string());
  const auto wanted = settings(curve);
  for (const auto& [name, value] : wanted.values()) {
    const bool free = name == "epochs" || name == "threads" || name == "lr";
    if (!free && run.settings.word(name) != value)
      throw ConfigError(fmt::format("{}: a run with --{} {}; expected {}; give another --out",
                                    path.string(), name, run.settings.word(name), value));
  }
  if (run.description.at("data") != description(curve, wanted).at("data"))
    throw ConfigError(path.string() + ": a run on other data: " +
                      run.description.at("data").dump() + "; give another --out");
}

LoadedRun Reproduction::open_or_create(const Curve& curve, bool* created) {
  const auto path = directory(curve);
  auto wanted = settings(curve);
  std::error_code none;
  *created = !fs::exists(path / "model.json", none);
  if (!*created) {
    check(curve);
    auto run = open_description(path.string());
    for (const char* name : {"epochs", "threads"}) run.settings.set(name, wanted.word(name));
    return run;
  }
  const auto& set = data(curve);
  auto model = make_model(model_config(wanted, set), tensor_options(wanted));
  check_data(set, *model);
  auto described = description(curve, wanted);
  return {io::RunDirectory::create(path), std::move(described), std::move(wanted), std::move(model),
          set.event_shape};
}

Outcome Reproduction::run(const Curve& curve, const Hooks& hooks) {
  bool created = false;
  auto run = open_or_create(curve, &created);
  const auto lock = run.directory.lock();
  DiscardUnlessKept discard{run.directory, !created};
  auto& s = run.settings;
  const auto& set = data(curve);
  const data::BatchSource source(set.train, set.scale, data::parse_binarize(s.word("binarize")),
                                 run.options().dtype().toScalarType());
  if (s.word("lr") == "auto") {
    const auto rate = chosen_rate(*run.model, s, source,
                                  {.on_update = hooks.on_choice, .should_stop = hooks.should_stop});
    if (!rate) return Outcome::kStopped;
    s.set("lr", fmt::format("{}", *rate));
    hooks.say(fmt::format("{}: chose --lr {}", curve.name(), s.word("lr")));
  }
  run.description["settings"] = s.to_json();
  io::write_file(run.directory.model_json(), run.description.dump(2) + "\n");

  initialise_model(*run.model, nn::parse_init(s.word("init")),
                   static_cast<uint64_t>(s.integer("seed")));
  const auto trainee = make_learner(*run.model, s, s.real("lr"), source.rows());
  Trainer trainer(trainer_options(s), *trainee.learner, *trainee.optimizer, source, run.directory);
  Recorder recorder(run, set, curve);
  if (!trainer.resume()) run.directory.truncate_metrics(0);
  recorder.begin(recorded(curve), trainer.progress().samples);
  trainer.on_step = [&](const Progress& p) {
    recorder.see(p);
    hooks.on_step(p);
  };
  trainer.should_stop = hooks.should_stop;
  const Outcome outcome = trainer.run();
  discard.kept = true;
  save_weights(run.directory, *run.model);
  write_report(run, set);
  // Last, for a curve that ends at the budget is taken for finished.
  if (outcome == Outcome::kFinished &&
      (recorded(curve).empty() || recorded(curve).back().samples < trainer.progress().samples))
    recorder.record(trainer.progress());
  if (outcome == Outcome::kFinished)
    hooks.say(
        fmt::format("{}: {:.2g} samples in {:.0f} s of updates; {:.0f} s of evaluation in this "
                    "sitting",
                    curve.name(), static_cast<double>(trainer.progress().samples),
                    trainer.progress().seconds, recorder.seconds()));
  return outcome;
}

}  // namespace elbo::cli
