#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>

#include "commands.h"
#include "elbo/error.h"
#include "elbo/evaluation/annealed_importance.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/evaluation/importance_sampling.h"
#include "elbo/evaluation/posterior_evidence.h"
#include "elbo/kernels/runtime.h"
#include "elbo/models/mixture.h"
#include "elbo/models/semi_supervised.h"
#include "elbo/models/vae.h"
#include "support/arguments.h"
#include "support/loaded_run.h"
#include "support/progress_bar.h"

namespace elbo::cli {
namespace {

struct Arguments {
  std::string estimator = "elbo", form = "sgvb-b", fit = "gaussian", from = "guide";
  std::string weights = "draws";
  RowsArguments rows;
  int64_t samples = 0, temperatures = 100;  // 0: the estimator's default
  bool simulate = false, json = false;

  [[nodiscard]] int64_t samples_or(int64_t fallback) const {
    return samples > 0 ? samples : fallback;
  }
};

void evaluate_bound(const Arguments& a, const LoadedRun& run, const Rows& rows) {
  const auto source = rows.source(run);
  const EvaluateOptions options{
      .estimator = {.form = a.form == "sgvb-a" ? SgvbForm::kA : SgvbForm::kB,
                    .num_particles = a.samples_or(1)},
      .seed = a.rows.seed};
  const auto result = evaluate_elbo(*run.model, source, options);
  const double sigma = smallest_sigma(*run.model, source, options);
  // Mixtures, probabilistic PCA: no bound, but what it would be of.
  const auto first = source.range(0, 1, evaluation_noise(a.rows.seed));
  const bool exact = run.model->log_likelihood(with_gaps(first)).defined();
  if (a.json) {
    nlohmann::json out = {{"estimator", a.estimator},
                          {"elbo", result.mean},
                          {"standard_error", result.standard_error},
                          {"exact", exact},
                          {"rows", result.rows},
                          {"binarize", run.settings.word("binarize")}};
    if (!exact) out.update({{"reconstruction", result.reconstruction}, {"kl", result.kl}});
    if (std::isfinite(sigma)) out["smallest_sigma"] = sigma;
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("{:<16}{:.4f} nats per datum, standard error {:.4f} over {} rows\n",
             exact ? "log p(x), exact" : "bound", result.mean, result.standard_error, result.rows);
  if (!exact)
    fmt::print("reconstruction  {:.4f}\nKL              {:.4f}\n", result.reconstruction,
               result.kl);
  if (std::isfinite(sigma)) fmt::print("smallest sigma  {:.6g}\n", sigma);
  if (rows.set.images()) fmt::print("binarisation    {}\n", run.settings.word("binarize"));
}

/// An estimator of log p(x), and what it found besides.
struct Method {
  std::function<LogEvidence(const Batch&, const Noise&)> estimate;
  nlohmann::json settings;
  std::vector<at::Tensor> upper = {};  ///< of simulated rows
  int64_t dim = 0;                     ///< latent dimensions, of appendix D
};

void use_importance(const Arguments& a, const Model& model, Method& method) {
  const int64_t draws = a.samples_or(1000);
  method.settings = {{"samples", draws}};
  method.estimate = [&model, draws](const Batch& batch, const Noise& noise) {
    return importance_evidence(model.model(), model.guide(), batch, noise, draws);
  };
}

void use_annealing(const Arguments& a, const Model& model, Method& method) {
  const AnnealedOptions options{.from = a.from == "guide" ? AnnealFrom::kGuide : AnnealFrom::kPrior,
                                .chains = a.samples_or(16),
                                .temperatures = a.temperatures};
  options.validate();
  method.settings = {
      {"samples", options.chains}, {"temperatures", options.temperatures}, {"from", a.from}};
  method.estimate = [&, options, simulate = a.simulate](const Batch& batch, const Noise& noise) {
    const auto p = model.model(), q = model.guide();
    if (!simulate) return annealed_evidence(p, q, batch, noise, options).evidence;
    // Apart in every batch, since simulated rows are counted from 0.
    const auto of_batch = noise.site(std::to_string(batch.rows[0].item<int64_t>()));
    auto both = bidirectional_evidence(p, q, batch, of_batch, options);
    method.upper.push_back(both.upper.rows);
    return both.lower;
  };
}

void use_posterior(const Arguments& a, const Model& model, Method& method) {
  const bool kernel = a.fit == "kernel";
  PosteriorEvidenceOptions options{.kernel = kernel};
  options.draws = a.samples_or(2000) / options.chains;
  options.validate();
  method.settings = {{"samples", options.draws * options.chains}, {"fit", a.fit}};
  method.estimate = [&, options, kernel](const Batch& batch, const Noise& noise) {
    const auto found = posterior_evidence(model.model(), model.guide(), batch, noise, options);
    method.dim = found.dim;
    return kernel ? found.kernel : found.gaussian;
  };
}

void print_notes(const Method& method, const EvidenceSummary& found) {
  if (method.dim > kReliableDimensions)
    fmt::print(stderr,
               "elbo: note: AEVB's appendix D is not reliable above {} latent dimensions; this "
               "model has {}\n",
               kReliableDimensions, method.dim);
  if (found.heavy_rows > 0)
    fmt::print(stderr,
               "elbo: note: the weights of {} of {} rows look to have no variance (Pareto k-hat up "
               "to {:.2f}, above {}): the estimate may be off by more than its errors say\n",
               found.heavy_rows, found.rows, found.largest_k_hat, kInfiniteVariance);
}

/// What the estimators of log p(x) do not know.
void check_estimator(const std::string& estimator, const LoadedRun& run, const Rows& rows) {
  if (dynamic_cast<const SemiSupervised*>(run.model.get()) != nullptr && estimator != "importance")
    throw ConfigError(fmt::format(
        "--estimator {}: moves continuous latent variables, and y is discrete; expected elbo or "
        "importance",
        estimator));
  const auto* mixture = dynamic_cast<const Mixture*>(run.model.get());
  if (mixture != nullptr && mixture->is_bayesian())
    throw ConfigError(fmt::format(
        "--estimator {}: of --weights bayes the predictive density is exact; expected elbo",
        estimator));
  if (mixture != nullptr && estimator != "importance")
    throw ConfigError(
        fmt::format("--estimator {}: moves continuous latent variables, and a "
                    "mixture's is discrete; expected elbo, which is exact here",
                    estimator));
  if (rows.part.mask.defined() && !rows.part.mask.all().item<bool>())
    throw ConfigError(fmt::format(
        "--estimator {}: {} has missing entries; expected elbo, which is exact for this model",
        estimator, rows.set.name));
}

void evaluate_evidence_of(const Arguments& a, const LoadedRun& run, const Rows& rows) {
  check_estimator(a.estimator, run, rows);
  Method method;
  if (a.estimator == "importance") use_importance(a, *run.model, method);
  if (a.estimator == "ais") use_annealing(a, *run.model, method);
  if (a.estimator == "hmc") use_posterior(a, *run.model, method);
  ProgressBar bar;
  const auto found = evaluate_evidence(
      rows.source(run), method.estimate,
      {.batch_size = 25, .seed = a.rows.seed, .on_batch = [&](int64_t done, int64_t total) {
         bar.update(done, total, "rows");
       }});
  bar.clear();
  print_notes(method, found);
  const double upper = method.upper.empty() ? 0 : at::cat(method.upper).mean().item<double>();
  if (a.json) {
    nlohmann::json out = {{"estimator", a.estimator},
                          {"log_evidence", found.mean},
                          {"standard_error", found.standard_error},
                          {"draws_error", found.draws_error},
                          {"heavy_rows", found.heavy_rows},
                          {"rows", found.rows},
                          {"binarize", run.settings.word("binarize")}};
    out.update(method.settings);
    if (!std::isnan(found.largest_k_hat)) out["largest_k_hat"] = found.largest_k_hat;
    if (a.simulate) out["upper"] = upper;
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("log p(x)        {:.4f} nats per datum, standard error {:.4f} over {} {}rows\n",
             found.mean, found.standard_error, found.rows, a.simulate ? "simulated " : "");
  fmt::print("of the draws    {:.4f}\n", found.draws_error);
  if (a.simulate)
    fmt::print("upper bound     {:.4f}\ngap             {:.4f}\n", upper, upper - found.mean);
  if (!std::isnan(found.largest_k_hat)) fmt::print("largest k-hat   {:.2f}\n", found.largest_k_hat);
  if (rows.set.images() && !a.simulate)
    fmt::print("binarisation    {}\n", run.settings.word("binarize"));
}

/// --weights of a run with --weights bayes.
void fix_weights(const Arguments& a, LoadedRun& run) {
  const auto* vae = dynamic_cast<const Vae*>(run.model.get());
  const bool bayes = vae != nullptr && run.settings.word("weights") == "bayes";
  if (a.weights != "draws" && !bayes)
    throw ConfigError(fmt::format(
        "--weights {}: expected a run that was trained with --weights bayes", a.weights));
  if (a.weights == "mean") {
    run.model = vae->at_mean_weights();
    return;
  }
  if (bayes && a.estimator != "elbo")
    throw ConfigError(
        fmt::format("--estimator {}: takes rows one by one, and weights that are fixed; expected "
                    "--weights mean",
                    a.estimator));
  if (a.weights == "predictive") run.model = vae->with_integrated_weights();
}

void evaluate(const Arguments& a) {
  runtime::tune();
  if (a.simulate && a.estimator != "ais")
    throw ConfigError("--simulate: expected --estimator ais, which has bounds from both sides");
  auto run = open_run(a.rows.run);
  fix_weights(a, run);
  const auto rows = load_rows(run, a.rows);
  if (a.estimator == "elbo")
    evaluate_bound(a, run, rows);
  else
    evaluate_evidence_of(a, run, rows);
}

}  // namespace

void add_evaluate(CLI::App& program) {
  auto* command = program.add_subcommand(
      "evaluate", "The bound of a data set, or its log p(x), in nats per datum");
  auto a = std::make_shared<Arguments>();
  add_rows_arguments(*command, a->rows, "the draws");
  const auto word = [&](const char* name, std::string& value, const char* description,
                        std::vector<std::string> words) {
    command->add_option(name, value, description)
        ->check(CLI::IsMember(std::move(words)))
        ->default_str(value);
  };
  word("--estimator", a->estimator,
       "the bound, or log p(x): by importance sampling with the guide, by posterior draws (AEVB "
       "appendix D), by annealed importance sampling",
       {"elbo", "importance", "hmc", "ais"});
  word("--form", a->form, "of elbo: AEVB eq 6 or eq 7", {"sgvb-a", "sgvb-b"});
  command
      ->add_option("--samples", a->samples,
                   "L, draws of z a row (elbo 1, importance 1000, hmc 2000 of 8 chains); of ais, "
                   "chains (16)")
      ->check(integer(1));
  word("--fit", a->fit, "of hmc: the density that is fitted to half of the draws",
       {"gaussian", "kernel"});
  word("--from", a->from, "of ais: where the path starts", {"guide", "prior"});
  command->add_option("--temperatures", a->temperatures, "of ais: steps along the path")
      ->check(integer(1))
      ->default_str("100");
  word("--weights", a->weights,
       "of a run with --weights bayes: drawn from q(W), integrated out of each row's law, or at "
       "their mean",
       {"draws", "predictive", "mean"});
  command->add_flag("--simulate", a->simulate,
                    "of ais: as many rows drawn from the model, with an upper bound too");
  command->add_flag("--json", a->json, "one JSON object on standard output");
  command->footer(
      "Example: elbo evaluate runs/digits digits --samples 10\n"
      "Example: elbo evaluate runs/digits digits --estimator importance --samples 5000");
  command->callback([a] { evaluate(*a); });
}

}  // namespace elbo::cli
