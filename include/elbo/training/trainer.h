// The training loop: epochs, checkpoints, metrics, a clean stop.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "elbo/data/batch_source.h"
#include "elbo/inference/learner.h"
#include "elbo/io/run_directory.h"
#include "elbo/optim/optimizer.h"

namespace elbo {

enum class Schedule {
  kConstant,
  kCosine,  ///< from lr to 0 over the whole training, half a cosine
};

struct TrainerOptions {
  int64_t epochs = 20;
  int64_t batch_size = 100;  ///< M; the last batch of an epoch may be smaller
  /// Stop after this many rows, at the end of a batch, instead of `epochs`; 0: go by epochs. An
  /// epoch that is cut short has a line of metrics too, which is written anew where training goes
  /// on.
  int64_t samples = 0;
  uint64_t seed = 0;  ///< keys the order of rows and all noise
  Schedule schedule = Schedule::kConstant;
  double checkpoint_seconds = 20;  ///< least time between checkpoints at the ends of epochs

  void validate() const;
};

/// Where training stands.
struct Progress {
  int64_t epoch = 0;  ///< finished epochs
  int64_t step = 0;
  int64_t samples = 0;        ///< rows seen in all
  int64_t total_samples = 0;  ///< rows that will have been seen at the end
  double seconds = 0;         ///< spent on updates, over all sittings
  double elbo = 0;            ///< running mean in this epoch, nats per datum
  /// By the learner's count, over all rows seen. Counts from 0 where training goes on from a
  /// checkpoint that did not know it yet.
  int64_t gradient_evaluations = 0;
};

enum class Outcome { kFinished, kStopped };

/// Runs a learner over a data set. The order of rows and the noise are functions of (seed, epoch)
/// and (seed, step), so that going on from a checkpoint is bit-exact.
/// **Throws** NumericError, with the step and the last good checkpoint, when a term is not finite.
class Trainer {
 public:
  Trainer(TrainerOptions options, Learner& learner, Optimizer& optimizer,
          const data::BatchSource& source, const io::RunDirectory& run);

  /// After every step.
  std::function<void(const Progress&)> on_step;
  /// At the end of every epoch: fields to add to its line of metrics (a test bound, say).
  std::function<nlohmann::json(const Progress&)> on_epoch;
  /// True when training should stop at the next step's end, with a checkpoint.
  std::function<bool()> should_stop;

  /// Puts back the newest checkpoint; false when there is none.
  bool resume();
  Outcome run();
  [[nodiscard]] const Progress& progress() const { return progress_; }

 private:
  struct Sums {  // of the epoch under way, weighted by rows
    double elbo = 0, reconstruction = 0, kl = 0, log_prior = 0, rows = 0, supervision = 0;
  };
  void step(const std::vector<int64_t>& order, int64_t first);
  /// The line of the epoch under way, or just over.
  void report_epoch();
  void save_checkpoint();
  [[nodiscard]] double rate(int64_t step) const;

  TrainerOptions options_;
  Learner& learner_;
  Optimizer& optimizer_;
  const data::BatchSource& source_;
  const io::RunDirectory& run_;
  double base_lr_;
  int64_t steps_per_epoch_;
  Progress progress_;
  Batch batch_;  // of the last step
  Sums sums_;
  int64_t last_checkpoint_step_ = -1;
};

/// The mean bound over the last quarter of a learner's first `updates` updates, on the rows and
/// noise that a Trainer of this seed would give them; nothing where `go_on`, asked after each
/// update, says no.
[[nodiscard]] std::optional<double> mean_bound_of_first_updates(
    Learner& learner, const data::BatchSource& source, uint64_t seed, int64_t batch_size,
    int64_t updates, const std::function<bool(int64_t done)>& go_on = {});

/// The rate of `candidates` for which `attempt` gives the highest bound (AEVB 5 chooses so from
/// {0.01, 0.02, 0.1} on the first updates); nothing once an attempt gives nothing. A NumericError
/// in `attempt` disqualifies the rate; NumericError when every rate diverges.
[[nodiscard]] std::optional<double> choose_learning_rate(
    const std::vector<double>& candidates,
    const std::function<std::optional<double>(double)>& attempt);

}  // namespace elbo
