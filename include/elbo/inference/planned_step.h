// A step's gradient, computed again from the plan of an earlier one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "elbo/batch.h"
#include "elbo/kernels/plan.h"

namespace elbo {

/// A computation from a minibatch and noise to a few tensors, which is the same at every step but
/// for its inputs. When two calls running have batches of one shape, the second is recorded
/// (`Plan`); later ones of that shape replay it, others run the code. A tensor that the two calls
/// had in the same memory (`BatchSource::gather` into a batch) is read where it lies, others are
/// copied. On a CUDA device the plan is a captured graph.
///
/// The first replay, and every `kCheckEvery`-th after it, runs the code too. Where the two differ
/// in one bit (on a GPU, in the fourth digit), or where the code cannot be recorded, it is run at
/// every step from then on: a program whose course changes as it learns is served at most so many
/// steps with its old course.
class PlannedStep {
 public:
  static constexpr int64_t kCheckEvery = 500;
  using Body = std::function<std::vector<at::Tensor>(const Batch&, const Noise&)>;

  /// `effect` is what the body writes besides what it gives: the flat gradient.
  explicit PlannedStep(at::Tensor effect) : effect_(std::move(effect)) {}

  /// What body(batch, noise) gives, detached from autograd's graph; valid until the next call.
  const std::vector<at::Tensor>& operator()(const Batch& batch, const Noise& noise,
                                            const Body& body);

  /// Whether it has a plan that has passed its first check.
  [[nodiscard]] bool replays() const { return plan_.has_value() && replayed_ > 0; }
  /// Why it runs the code at every step; empty while it need not.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }

 private:
  /// What must be alike for a plan to fit: names, shapes and dtypes, N, the noise's key, threads.
  struct Signature {
    std::string names;
    std::vector<int64_t> numbers;
    bool operator==(const Signature&) const = default;
  };
  static Signature signature_of(const Batch& batch, const Noise& noise);
  void record(const Batch& batch, const Noise& noise, const Body& body);
  /// Copies a batch of the plan's signature into the plan's inputs. Fails where an input that the
  /// plan had borrowed lies elsewhere now.
  bool load(const Batch& batch);
  /// Runs the body too; where it gives something else, that counts, and there is no plan any more.
  void check(const Batch& batch, const Noise& noise, const Body& body);

  at::Tensor effect_;
  std::optional<Plan> plan_;
  Signature planned_for_, last_;
  Batch inputs_;                // the plan's own, or borrowed
  std::vector<bool> borrowed_;  // for each tensor of inputs_
  Batch previous_;              // before there is a plan
  std::vector<at::Tensor> results_;
  int64_t replayed_ = 0;
  std::string refusal_;
};

}  // namespace elbo
