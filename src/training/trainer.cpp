#include "elbo/training/trainer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>

#include "elbo/data/minibatch.h"

namespace elbo {
namespace {

constexpr const char* kFormat = "checkpoint 2";
constexpr int64_t kNumbers = 11;  // of a checkpoint's tensor "training"

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A minibatch's rows: `size` of the order from `first` on, or what is left of it.
at::Tensor rows_at(const std::vector<int64_t>& order, int64_t first, int64_t size) {
  const int64_t count = std::min(size, static_cast<int64_t>(order.size()) - first);
  return at::tensor(at::ArrayRef<int64_t>(order.data() + first, static_cast<size_t>(count)),
                    at::kLong);
}

}  // namespace

void TrainerOptions::validate() const {
  if (epochs < 1) throw ConfigError(fmt::format("epochs = {}; expected >= 1", epochs));
  if (samples < 0) throw ConfigError(fmt::format("samples = {}; expected >= 0", samples));
  if (batch_size < 1) throw ConfigError(fmt::format("batch = {}; expected >= 1", batch_size));
}

Trainer::Trainer(TrainerOptions options, Learner& learner, Optimizer& optimizer,
                 const data::BatchSource& source, const io::RunDirectory& run)
    : options_(options),
      learner_(learner),
      optimizer_(optimizer),
      source_(source),
      run_(run),
      base_lr_(optimizer.lr),
      steps_per_epoch_((source.rows() + options.batch_size - 1) / options.batch_size) {
  options_.validate();
  progress_.total_samples =
      options_.samples > 0 ? options_.samples : options_.epochs * source.rows();
}

double Trainer::rate(int64_t step) const {
  if (options_.schedule == Schedule::kConstant) return base_lr_;
  const double steps = static_cast<double>(steps_per_epoch_) *
                       static_cast<double>(progress_.total_samples) /
                       static_cast<double>(source_.rows());
  const double done = std::min(1.0, static_cast<double>(step) / steps);
  return 0.5 * base_lr_ * (1 + std::cos(std::numbers::pi * done));
}

void Trainer::step(const std::vector<int64_t>& order, int64_t first) {
  const double start = now();
  const auto rows = rows_at(order, first, options_.batch_size);
  const Noise noise(options_.seed, static_cast<uint64_t>(progress_.step));
  optimizer_.lr = rate(progress_.step);
  StepResult result;
  try {
    batch_ = source_.gather(rows, noise, batch_);
    result = learner_.step(batch_, noise);
  } catch (const NumericError& e) {
    const std::string last =
        last_checkpoint_step_ < 0
            ? "no checkpoint had been written"
            : fmt::format("the last good checkpoint is of step {}", last_checkpoint_step_);
    throw NumericError(
        fmt::format("step {}: {}; {}; try a smaller --lr", progress_.step, e.what(), last));
  }
  const auto weight = static_cast<double>(rows.numel());
  sums_.elbo += weight * result.elbo;
  sums_.reconstruction += weight * result.reconstruction;
  sums_.kl += weight * result.kl;
  sums_.log_prior += weight * result.log_prior;
  sums_.supervision += weight * result.supervision;
  sums_.rows += weight;
  ++progress_.step;
  progress_.samples += rows.numel();
  progress_.gradient_evaluations += rows.numel() * result.gradient_evaluations;
  progress_.elbo = sums_.elbo / sums_.rows;
  progress_.seconds += now() - start;
}

void Trainer::report_epoch() {
  nlohmann::json line = {{"epoch", (progress_.step + steps_per_epoch_ - 1) / steps_per_epoch_},
                         {"step", progress_.step},
                         {"samples", progress_.samples},
                         {"gradient_evaluations", progress_.gradient_evaluations},
                         {"seconds", progress_.seconds},
                         {"train_elbo", sums_.elbo / sums_.rows},
                         {"train_reconstruction", sums_.reconstruction / sums_.rows},
                         {"train_kl", sums_.kl / sums_.rows},
                         {"log_prior", sums_.log_prior / sums_.rows},
                         {"lr", optimizer_.lr}};
  if (sums_.supervision != 0) line["train_supervision"] = sums_.supervision / sums_.rows;
  if (on_epoch) line.update(on_epoch(progress_));
  run_.append_metrics(line);
}

void Trainer::save_checkpoint() {
  io::TensorFile file;
  for (auto& [name, tensor] : learner_.state()) file.tensors.push_back({name, tensor});
  const std::array<double, kNumbers> state = {static_cast<double>(progress_.epoch),
                                              static_cast<double>(progress_.step),
                                              static_cast<double>(progress_.samples),
                                              progress_.seconds,
                                              sums_.elbo,
                                              sums_.reconstruction,
                                              sums_.kl,
                                              sums_.log_prior,
                                              sums_.rows,
                                              static_cast<double>(progress_.gradient_evaluations),
                                              sums_.supervision};
  file.tensors.push_back({"training", at::tensor(at::ArrayRef<double>(state), at::kDouble)});
  file.metadata["elbo.format"] = kFormat;
  run_.save_checkpoint(file, progress_.step);
  last_checkpoint_step_ = progress_.step;
}

bool Trainer::resume() {
  const auto found = run_.latest_checkpoint();
  if (!found) return false;
  const auto& metadata = found->file.metadata;
  if (const auto format = metadata.find("elbo.format");
      format == metadata.end() || format->second != kFormat)
    throw DataError(fmt::format(
        "{}: expected a '{}' of this version, not {}; train anew", found->file.name, kFormat,
        format == metadata.end() ? "one without a format" : "'" + format->second + "'"));
  for (auto& [name, tensor] : learner_.state()) {
    const auto& saved = found->file.at(name);
    if (saved.sizes() != tensor.sizes() || saved.scalar_type() != tensor.scalar_type())
      throw DataError(found->file.name + ": '" + name +
                      "' has another shape or type than this run's model");
    tensor.copy_(saved);
  }
  const auto state = found->file.at("training");
  if (state.dim() != 1 || state.numel() != kNumbers || state.scalar_type() != at::kDouble)
    throw DataError(found->file.name + ": 'training' is not a checkpoint's");
  const double* s = state.data_ptr<double>();
  progress_.epoch = static_cast<int64_t>(s[0]);
  progress_.step = static_cast<int64_t>(s[1]);
  progress_.samples = static_cast<int64_t>(s[2]);
  progress_.seconds = s[3];
  sums_ = {.elbo = s[4],
           .reconstruction = s[5],
           .kl = s[6],
           .log_prior = s[7],
           .rows = s[8],
           .supervision = s[10]};
  progress_.gradient_evaluations = static_cast<int64_t>(s[9]);
  last_checkpoint_step_ = progress_.step;
  run_.truncate_metrics(progress_.epoch);
  return true;
}

Outcome Trainer::run() {
  double last_save = now();
  while (progress_.samples < progress_.total_samples) {
    const auto order = data::epoch_order(options_.seed, progress_.epoch, source_.rows());
    const int64_t done = progress_.step - progress_.epoch * steps_per_epoch_;
    for (int64_t s = done; s < steps_per_epoch_; ++s) {
      step(order, s * options_.batch_size);
      if (on_step) on_step(progress_);
      if (progress_.samples >= progress_.total_samples) break;  // may be within an epoch
      if (s + 1 < steps_per_epoch_ && should_stop && should_stop()) {
        save_checkpoint();
        return Outcome::kStopped;
      }
    }
    const bool whole = progress_.step % steps_per_epoch_ == 0;
    if (whole) ++progress_.epoch;
    report_epoch();
    if (whole) sums_ = {};
    const bool last = progress_.samples >= progress_.total_samples;
    const bool stop = !last && should_stop && should_stop();
    if (last || stop || now() - last_save >= options_.checkpoint_seconds) {
      save_checkpoint();
      last_save = now();
    }
    if (stop) return Outcome::kStopped;
  }
  return Outcome::kFinished;
}

std::optional<double> mean_bound_of_first_updates(Learner& learner, const data::BatchSource& source,
                                                  uint64_t seed, int64_t batch_size,
                                                  int64_t updates,
                                                  const std::function<bool(int64_t)>& go_on) {
  double sum = 0;
  int64_t counted = 0;
  int64_t step = 0;
  Batch batch;
  for (int64_t epoch = 0; step < updates; ++epoch) {
    const auto order = data::epoch_order(seed, epoch, source.rows());
    for (int64_t first = 0; first < source.rows() && step < updates; first += batch_size, ++step) {
      const Noise noise(seed, static_cast<uint64_t>(step));
      batch = source.gather(rows_at(order, first, batch_size), noise, batch);
      const double bound = learner.step(batch, noise).elbo;
      if (go_on && !go_on(step + 1)) return {};
      if (4 * step < 3 * updates) continue;
      sum += bound;
      ++counted;
    }
  }
  return sum / static_cast<double>(counted);
}

std::optional<double> choose_learning_rate(
    const std::vector<double>& candidates,
    const std::function<std::optional<double>(double)>& attempt) {
  if (candidates.empty()) throw ConfigError("choose_learning_rate: no candidates");
  double best_rate = candidates.front();
  double best = -std::numeric_limits<double>::infinity();
  for (const double rate : candidates) {
    try {
      const auto bound = attempt(rate);
      if (!bound) return {};
      if (*bound > best) {
        best = *bound;
        best_rate = rate;
      }
    } catch (const NumericError&) {
      continue;  // this rate diverges
    }
  }
  if (!std::isfinite(best))
    throw NumericError("choose_learning_rate: the bound diverged at every rate; give --lr");
  return best_rate;
}

}  // namespace elbo
