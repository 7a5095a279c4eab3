// Expectation-maximisation over programs with discrete latent variables (TT: algorithms 1 and 2;
// UT: alternating optimisation).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "elbo/inference/learner.h"
#include "elbo/parameters.h"
#include "elbo/program/m_step.h"
#include "elbo/program/trace.h"

namespace elbo {

/// Rows of a data set, of any size, a piece at a time.
struct RowStream {
  int64_t total = 0;  ///< N
  std::function<Batch(int64_t first, int64_t count)> range;
};

/// The rows of a tensor [N, ...] as column "x", without copies.
[[nodiscard]] RowStream stream_of(at::Tensor x);

struct EmOptions {
  /// Rows of one E step. Tables [K, chunk_rows] should fit in a core's cache; the program runs on
  /// as many chunks at once as there are threads, so it must not change what it captures. Fewer are
  /// taken where the parameters are so many that a table of them for each row would be large.
  int64_t chunk_rows = 2000;
  /// Stepwise EM moves its statistics by (t + 2)^-step_exponent at the t-th minibatch; in (1/2, 1].
  double step_exponent = 0.7;
  /// Parameters of the model without an M step in closed form: they climb the likelihood's gradient
  /// (generalised EM).
  NamedParameters by_gradient{};
  /// Variational Bayes, with conjugate M steps (`ConjugateFamily`): what the bound of N rows has
  /// beside the sum of their log p(x), in nats per datum, such as -KL(q || p) / N of the
  /// parameters. It is added to every log likelihood below, which then are the bound.
  std::function<double(int64_t total)> beside_rows{};

  void validate() const;
};

/// Maximises the likelihood of a model whose latent sites are all discrete.
///
/// **Equation** E: q_i(z) = p(z | x_i; theta) exactly, by enumeration; M: theta = argmax
/// sum_i E_q log p(x_i, z; theta), in closed form from weighted statistics. Rows pass through the
/// ordinary program in chunks, so that nothing of size N times the latent values exists; results do
/// not depend on the number of threads.
/// **Units** log likelihoods in nats per datum, accumulated in float64.
/// **RNG** draws nothing.
/// **Throws** SiteError where a site is not in the model or the model draws a latent variable;
/// NumericError where a row is impossible, or as `WeightedMle::fit`.
class Em final : public Learner {
 public:
  Em(Program model, std::vector<MStep> m_steps, EmOptions options = {});

  /// One E step over all rows and one M step: gives the log likelihood before it. The likelihood
  /// after is never less, up to rounding.
  double iterate(const RowStream& rows);
  /// An M step from other probabilities than the posterior, such as a clustering's: `weights` gives
  /// [K, M] of the one latent site for a chunk of M rows.
  void start(const RowStream& rows, const std::function<at::Tensor(const Batch& chunk)>& weights);
  [[nodiscard]] double log_likelihood(const RowStream& rows) const;
  /// Of the one latent site's values: [K, M], and log p(x): [M].
  struct Responsibilities {
    at::Tensor weights, log_likelihood;
  };
  [[nodiscard]] Responsibilities responsibilities(const Batch& batch) const;

  [[nodiscard]] const std::vector<MStep>& m_steps() const { return m_steps_; }
  [[nodiscard]] const EmOptions& options() const { return options_; }

  /// Stepwise EM (Cappé and Moulines 2009; Liang and Klein 2009): statistics are a moving average
  /// over minibatches, and the M step follows each, as of `total` rows. `elbo` is the batch's
  /// log likelihood.
  StepResult step(const Batch& batch, const Noise& noise) override;
  /// The stepwise statistics and their count. Parameters are the model's.
  [[nodiscard]] std::map<std::string, at::Tensor> state() const override;

 private:
  struct Sums;
  [[nodiscard]] Trace run(const Batch& batch) const;
  /// A batch's statistics under the posterior, or under `given` [K, M].
  void expect(const Batch& batch, const at::Tensor& given, Sums& sums) const;
  void maximise(const std::vector<at::Tensor>& statistics);
  [[nodiscard]] double beside_rows(int64_t total) const;
  void climb(const RowStream& rows);
  /// `work` on each chunk, several at a time; its results added in order.
  [[nodiscard]] Sums over_chunks(const RowStream& rows,
                                 const std::function<void(const Batch&, Sums&)>& work) const;
  Program model_;
  std::vector<MStep> m_steps_;
  EmOptions options_;
  std::vector<at::Tensor> moving_;  ///< stepwise statistics per datum
  at::Tensor count_;                ///< minibatches seen
  double rate_ = 1;                 ///< of the gradient's ascent
};

}  // namespace elbo
