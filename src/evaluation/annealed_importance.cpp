#include "elbo/evaluation/annealed_importance.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "elbo/inference/latent_density.h"
#include "elbo/program/dream.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

/// b_0 ... b_T.
std::vector<double> temperatures(int64_t steps) {
  constexpr double kSteepness = 4;
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double low = sigmoid(-kSteepness), high = sigmoid(kSteepness);
  std::vector<double> out;
  for (int64_t t = 0; t <= steps; ++t) {
    const double along = 2 * static_cast<double>(t) / static_cast<double>(steps) - 1;
    out.push_back((sigmoid(kSteepness * along) - low) / (high - low));
  }
  return out;
}

/// Both ends of the path for some chains of a batch.
class Path {
 public:
  Path(const Program& model, const Program& guide, const Batch& batch, AnnealFrom from,
       int64_t chains)
      : start_program_(from == AnnealFrom::kGuide
                           ? guide
                           : block(model, [](const Site& site) { return site.observed; })),
        batch_(batch),
        chains_(chains),
        joint_(model, batch, {.chains = chains}),
        start_(start_program_, batch, {.chains = chains}) {
    if (!joint_.is_by_datum() || !start_.is_by_datum())
      throw SiteError("annealed_evidence: a latent site lies outside the plate");
  }

  /// Draws of the start: [chains M, D].
  [[nodiscard]] at::Tensor draw(const Noise& noise) const {
    const auto trace = Trace::run(start_program_, batch_, noise,
                                  {.num_particles = chains_, .requires_grad = false});
    auto u = unconstrained(trace);
    // As points of the same space, column by column.
    if (!start_.unconstrained(trace).equal(u))
      throw SiteError(
          "annealed_evidence: the guide's sites are in another order than the model's, or of "
          "another support; expected the same, or AnnealFrom::kPrior");
    return u;
  }
  [[nodiscard]] at::Tensor unconstrained(const Trace& trace) const {
    return joint_.unconstrained(trace);
  }

  /// log f of a temperature; what it was asked of last leaves log joint - log start behind.
  [[nodiscard]] LogDensity density(double b) {
    return [this, b](const at::Tensor& u) {
      const auto joint = joint_(u);
      const auto start = start_(u);
      gain_ = joint.detach() - start.detach();
      return b * joint + (1 - b) * start;
    };
  }
  [[nodiscard]] const at::Tensor& gain() const { return gain_; }  // [chains M]
  [[nodiscard]] Noise keyed(const Noise& noise) const { return joint_.keyed(noise); }
  [[nodiscard]] int64_t chains() const { return chains_; }

 private:
  Program start_program_;
  Batch batch_;
  int64_t chains_;
  LatentDensity joint_, start_;
  at::Tensor gain_;
};

/// How the chains move, found without them.
struct Tuning {
  std::vector<double> b{};
  std::vector<at::Tensor> step_size{};  // [M], of transitions 1 ... T - 1
  at::Tensor inverse_mass{};            // [M, D]
  int64_t leapfrog_steps = 10;

  [[nodiscard]] HmcStep of(int64_t t, int64_t chains) const {
    return {.step_size = step_size[static_cast<size_t>(t - 1)].repeat({chains}),
            .inverse_mass = inverse_mass.repeat({chains, 1}),
            .leapfrog_steps = leapfrog_steps};
  }
};

Tuning tuned(const Program& model, const Program& guide, const Batch& batch, const Noise& noise,
             const AnnealedOptions& options) {
  constexpr int64_t kDraws = 100, kFirst = 30;
  constexpr double kRate = 0.3, kFirstStep = 0.1;
  Tuning tuning{.b = temperatures(options.temperatures), .leapfrog_steps = options.leapfrog_steps};
  const int64_t rows = batch.size();
  {
    const Path many(model, guide, batch, options.from, kDraws);
    const auto u = many.draw(noise.site("scale"));
    tuning.inverse_mass = u.view({kDraws, rows, -1}).var(0);
  }
  Path one(model, guide, batch, options.from, 1);
  auto u = one.draw(noise.site("scale"));
  auto log_step = at::full({rows}, std::log(kFirstStep), u.options());
  int64_t moves = 0;
  const auto move = [&](double b) {
    const auto density = one.density(b);
    auto state = hmc_evaluate(density, u);
    const auto name = std::to_string(moves++);
    const auto outcome = hmc_transition(density, state,
                                        {.step_size = log_step.exp(),
                                         .inverse_mass = tuning.inverse_mass,
                                         .leapfrog_steps = options.leapfrog_steps},
                                        one.keyed(noise.site("tune").site(name)));
    u = state.position;
    log_step += kRate * (outcome.acceptance - options.target_acceptance);
  };
  for (int64_t t = 1; t < options.temperatures; ++t) {
    for (int64_t i = 0; t == 1 && i < kFirst; ++i) move(tuning.b[1]);
    move(tuning.b[static_cast<size_t>(t)]);
    tuning.step_size.push_back(log_step.exp());
  }
  return tuning;
}

struct Walk {
  at::Tensor log_weights;  // float64 [chains, M]
  at::Tensor acceptance;   // [M]
};

/// From u along the path, or back along it.
Walk walk(Path& path, const Tuning& tuning, at::Tensor u, const Noise& noise, bool back) {
  const auto steps = static_cast<int64_t>(tuning.b.size()) - 1;
  const std::vector<int64_t> shape = {path.chains(), u.size(0) / path.chains()};
  auto log_weights = at::zeros({u.size(0)}, at::kDouble);
  auto acceptance = at::zeros({shape[1]}, at::kDouble);
  // At the points z_0 ... z_(T-1), between which lie the transitions 1 ... T - 1.
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t here = back ? steps - 1 - i : i;
    const int64_t next = back ? here : here + 1;  // the transition's temperature
    const bool last = i + 1 == steps;
    const auto density = path.density(tuning.b[static_cast<size_t>(last ? steps : next)]);
    HmcState state;
    if (last) {
      const at::NoGradGuard no_grad;
      (void)density(u);
    } else {
      state = hmc_evaluate(density, u);
    }
    const double width =
        tuning.b[static_cast<size_t>(here + 1)] - tuning.b[static_cast<size_t>(here)];
    log_weights += width * path.gain().to(at::kDouble);
    if (last) break;
    const auto outcome = hmc_transition(density, state, tuning.of(next, path.chains()),
                                        path.keyed(noise.site(std::to_string(i))));
    acceptance += outcome.acceptance.to(at::kDouble).view(shape).mean(0) /
                  static_cast<double>(std::max<int64_t>(1, steps - 1));
    u = state.position;
  }
  return {log_weights.view(shape), acceptance};
}

}  // namespace

void AnnealedOptions::validate() const {
  if (chains < 2)
    throw ConfigError(fmt::format("annealed_evidence: chains = {}; expected >= 2", chains));
  if (temperatures < 1)
    throw ConfigError(
        fmt::format("annealed_evidence: temperatures = {}; expected >= 1", temperatures));
  if (leapfrog_steps < 1)
    throw ConfigError(
        fmt::format("annealed_evidence: leapfrog_steps = {}; expected >= 1", leapfrog_steps));
  if (!(target_acceptance > 0 && target_acceptance < 1))
    throw ConfigError(
        fmt::format("annealed_evidence: target_acceptance = {}; expected a number between 0 and 1",
                    target_acceptance));
}

AnnealedEvidence annealed_evidence(const Program& model, const Program& guide, const Batch& batch,
                                   const Noise& noise, const AnnealedOptions& options) {
  options.validate();
  const at::NoGradGuard no_grad;       // but along the latents, which HMC takes itself
  const WithoutValidation far_points;  // a path may reach parameters that overflow
  const auto tuning = tuned(model, guide, batch, noise, options);
  Path path(model, guide, batch, options.from, options.chains);
  const auto u = path.draw(noise.site("start"));
  const Walk forth = walk(path, tuning, u, noise.site("anneal"), /*back=*/false);
  return {log_mean_weight(forth.log_weights), forth.acceptance};
}

Sandwich bidirectional_evidence(const Program& model, const Program& guide, const Batch& like,
                                const Noise& noise, const AnnealedOptions& options) {
  options.validate();
  const at::NoGradGuard no_grad;
  const WithoutValidation far_points;
  const Dream simulated = dream(model, like, noise.site("dream"));
  const Batch& batch = simulated.batch;
  const auto tuning = tuned(model, guide, batch, noise, options);
  Path path(model, guide, batch, options.from, options.chains);
  const Walk forth =
      walk(path, tuning, path.draw(noise.site("start")), noise.site("anneal"), /*back=*/false);
  const auto exact = Path(model, guide, batch, options.from, 1).unconstrained(simulated.trace);
  const Walk back = walk(path, tuning, exact.repeat({options.chains, 1}), noise.site("back"),
                         /*back=*/true);
  LogEvidence upper = log_mean_weight(-back.log_weights);  // of 1 / p(x)
  upper.rows = -upper.rows;
  return {log_mean_weight(forth.log_weights), std::move(upper), batch};
}

}  // namespace elbo
