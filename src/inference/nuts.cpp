#include "elbo/inference/nuts.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "elbo/error.h"

namespace elbo {
namespace {

/// Beyond this energy error, in nats, a path has diverged and is not followed.
constexpr double kDivergence = 1000;

double number(const at::Tensor& x) { return x.item<double>(); }
double product(const at::Tensor& a, const at::Tensor& b) { return number((a * b).sum()); }

/// An end of a path.
struct End {
  HmcState state;
  at::Tensor momentum, velocity;
};

/// Successive points, first to last in time or against it: nothing below depends on which.
struct Path {
  End first, last;
  at::Tensor momenta;     // their sum
  double log_weight = 0;  // log sum of e^-H, beside the start's
  HmcState chosen;        // one of them, by its weight
};

bool turns(const End& a, const End& b, const at::Tensor& momenta) {
  return product(a.velocity, momenta) <= 0 || product(b.velocity, momenta) <= 0;
}
/// Of two paths one after the other; the middle is looked at from both sides, since a path that
/// begins in a half turn of its own would pass unseen.
bool join_turns(const Path& a, const Path& b) {
  return turns(a.first, b.last, a.momenta + b.momenta) ||
         turns(a.first, b.first, a.momenta + b.first.momentum) ||
         turns(a.last, b.last, b.momenta + a.last.momentum);
}

double log_add(double a, double b) {
  const double larger = std::max(a, b);
  return std::isinf(larger) ? larger : larger + std::log1p(std::exp(std::min(a, b) - larger));
}

class Tree {
 public:
  Tree(const LogDensity& log_density, const HmcStep& step, const Noise& noise, double start)
      : log_density_(log_density), step_(step), noise_(noise), start_(start) {}

  /// The 2^depth points that follow `from`, with the step's sign; false where they turn or diverge,
  /// and then `out` is not used.
  bool build(int64_t depth, const End& from, double sign, Path* out) {
    if (depth == 0) return advance(from, sign, out);
    Path near, far;
    if (!build(depth - 1, from, sign, &near) || !build(depth - 1, near.last, sign, &far))
      return false;
    const double log_weight = log_add(near.log_weight, far.log_weight);
    const bool takes_far = std::log(uniform()) < far.log_weight - log_weight;
    *out = {near.first, far.last, near.momenta + far.momenta, log_weight,
            takes_far ? far.chosen : near.chosen};
    return !join_turns(near, far);
  }

  double uniform() {
    const auto u = noise_.site(std::to_string(choices_++)).uniform({1}, at::kDouble);
    return number(u);
  }
  [[nodiscard]] double largest_error() const { return largest_error_; }
  [[nodiscard]] double acceptance() const { return acceptance_ / static_cast<double>(points_); }

 private:
  bool advance(const End& from, double sign, Path* out) {
    End to = from;
    leapfrog(log_density_, to.state, to.momentum,
             {sign * step_.step_size, step_.inverse_mass, /*leapfrog_steps=*/1});
    to.velocity = step_.inverse_mass.defined() ? to.momentum * step_.inverse_mass : to.momentum;
    const double energy =
        number(kinetic_energy(to.momentum, step_.inverse_mass)) - number(to.state.log_density);
    const double error =
        std::isfinite(energy) ? energy - start_ : std::numeric_limits<double>::infinity();
    ++points_;
    acceptance_ += std::min(1.0, std::exp(-error));
    largest_error_ = std::max(largest_error_, error);
    if (error > kDivergence) return false;
    *out = {to, to, to.momentum, -error, to.state};
    return true;
  }

  const LogDensity& log_density_;
  const HmcStep& step_;
  Noise noise_;
  double start_;  // energy
  int64_t points_ = 0, choices_ = 0;
  double acceptance_ = 0, largest_error_ = -std::numeric_limits<double>::infinity();
};

}  // namespace

HmcOutcome nuts_transition(const LogDensity& log_density, HmcState& state, const HmcStep& step,
                           const Noise& noise, int64_t max_depth) {
  if (state.position.size(0) != 1)
    throw ShapeError(fmt::format("nuts: {} rows; expected 1: paths of rows differ in length",
                                 state.position.size(0)));
  if (max_depth < 1)
    throw ConfigError(fmt::format("nuts: max_depth = {}; expected >= 1", max_depth));
  const at::NoGradGuard no_grad;
  const auto options = state.position.options();
  End start{state, noise.site("momentum").normal(state.position.sizes(), options), {}};
  if (step.inverse_mass.defined()) start.momentum = start.momentum * step.inverse_mass.rsqrt();
  start.velocity =
      step.inverse_mass.defined() ? start.momentum * step.inverse_mass : start.momentum;
  Tree tree(log_density, step, noise.site("choice"),
            number(kinetic_energy(start.momentum, step.inverse_mass)) - number(state.log_density));
  const auto directions = noise.site("direction").uniform({max_depth}, at::kDouble);
  Path path{start, start, start.momentum, 0, state};  // in time
  bool moved = false;
  for (int64_t depth = 0; depth < max_depth; ++depth) {
    const bool forward = number(directions[depth]) < 0.5;
    Path more;
    if (!tree.build(depth, forward ? path.last : path.first, forward ? 1 : -1, &more)) break;
    if (std::log(tree.uniform()) < more.log_weight - path.log_weight) {
      path.chosen = more.chosen;
      moved = true;
    }
    path.log_weight = log_add(path.log_weight, more.log_weight);
    if (!forward) std::swap(more.first, more.last);
    const Path& before = forward ? path : more;
    const Path& after = forward ? more : path;
    const bool stops = join_turns(before, after);
    path = {before.first, after.last, path.momenta + more.momenta, path.log_weight, path.chosen};
    if (stops) break;
  }
  state = path.chosen;
  const auto scalar = state.log_density.options();
  return {.acceptance = at::full({1}, tree.acceptance(), scalar),
          .accepted = at::full({1}, moved, scalar.dtype(at::kBool)),
          .energy_error = at::full({1}, tree.largest_error(), scalar)};
}

}  // namespace elbo
