// The paper's figures as lists of curves, and the training of one curve (AEVB 5).
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "elbo/data/data_set.h"
#include "elbo/evaluation/learning_curve.h"
#include "elbo/training/trainer.h"
#include "support/loaded_run.h"

namespace elbo::cli {

/// One training of a figure.
struct Curve {
  /// "mnist", "frey" (test rows at random), "frey-last" (the last 400 frames), "mnist-50000" (the
  /// first of the training rows) or "mnist-1000" (of those).
  std::string data;
  int64_t latent = 0;
  std::string learner;                ///< as --learner
  std::optional<uint64_t> seed = {};  ///< where the figure has several; else the options'
  Values settings = {};               ///< besides the preset's and the data's
  CurveMeasure measure = CurveMeasure::kBound;
  int first_quarter = 16;  ///< of the points; see next_curve_point

  [[nodiscard]] std::string setting() const;  ///< "mnist-3": what its learners have in common
  [[nodiscard]] std::string group() const;    ///< "mnist-3-aevb": all of its seeds
  [[nodiscard]] std::string name() const;     ///< the group, or "mnist-1000-3-aevb-s0"
};

/// "figure2" to "figure5"; ConfigError otherwise. Figure 3 has seeds `first_seed`, + 1, ...
[[nodiscard]] std::vector<Curve> curves_of(const std::string& figure, uint64_t first_seed = 0,
                                           int64_t seeds = 3);

/// Those of `curves` whose name, group or setting is among `only` ("mnist-3,frey-2-aevb"); all
/// where it is empty. ConfigError for a word that selects none.
[[nodiscard]] std::vector<Curve> select(const std::vector<Curve>& curves, const std::string& only);

struct ReproduceOptions {
  std::filesystem::path out;
  int64_t budget = 10'000'000;  ///< samples evaluated, rounded up to whole epochs
  uint64_t seed = 0;
  int64_t threads = 0;
};

/// Data, directories and training of the curves of a figure.
class Reproduction {
 public:
  explicit Reproduction(ReproduceOptions options) : options_(std::move(options)) {}

  /// The rows of a curve, split, loaded at the first call. Throws as `data::load`.
  const data::DataSet& data(const Curve& curve);
  /// RUNS/NAME below --out.
  [[nodiscard]] std::filesystem::path directory(const Curve& curve) const;
  /// What has been recorded of it so far; empty before it was begun.
  [[nodiscard]] LearningCurve recorded(const Curve& curve) const;
  [[nodiscard]] bool begun(const Curve& curve) const { return !recorded(curve).empty(); }
  /// Samples at which it is finished.
  int64_t target(const Curve& curve);
  /// True where the budget is used up and the weights are saved.
  bool finished(const Curve& curve);
  /// Throws ConfigError where the curve's directory holds a run of other settings or data.
  void check(const Curve& curve);

  struct Hooks {
    std::function<void(const Progress&)> on_step;
    std::function<void(int64_t done, int64_t total)> on_choice;  ///< updates that choose a rate
    std::function<bool()> should_stop;
    std::function<void(const std::string&)> say;  ///< a line for people
  };
  /// Begins the curve, or goes on with it; its points are written to `curve.csv` as they are
  /// reached. Throws NumericError where it diverges; ConfigError where another process is at it.
  Outcome run(const Curve& curve, const Hooks& hooks);

 private:
  struct Rows {
    data::DataSet set;
    std::string spec;   ///< what was loaded
    std::string split;  ///< which rows of it; empty: its own parts
  };
  const Rows& rows(const Curve& curve);
  [[nodiscard]] Settings settings(const Curve& curve);
  [[nodiscard]] nlohmann::json description(const Curve& curve, const Settings& settings);
  LoadedRun open_or_create(const Curve& curve, bool* created);

  ReproduceOptions options_;
  std::map<std::string, Rows> rows_;
};

}  // namespace elbo::cli
