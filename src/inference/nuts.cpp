#include "elbo/inference/nuts.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>
#include <string>

#include "elbo/error.h"

namespace elbo {
namespace {

/// Beyond this energy error, in nats, a path has diverged and is not followed.
constexpr double kDivergence = 1000;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Of each row, [R].
at::Tensor row_dot(const at::Tensor& a, const at::Tensor& b) { return (a * b).sum(-1); }
bool any_row(const at::Tensor& rows) { return rows.any().item<bool>(); }

/// Rows of `a` where `rows`, [R] bool, is true, else of `b`.
at::Tensor choose(const at::Tensor& rows, const at::Tensor& a, const at::Tensor& b) {
  return at::where(a.dim() > 1 ? rows.unsqueeze(-1) : rows, a, b);
}
HmcState choose(const at::Tensor& rows, const HmcState& a, const HmcState& b) {
  return {choose(rows, a.position, b.position), choose(rows, a.log_density, b.log_density),
          choose(rows, a.gradient, b.gradient)};
}

/// An end of a path of each row.
struct End {
  HmcState state;
  at::Tensor momentum, velocity;
};
End choose(const at::Tensor& rows, const End& a, const End& b) {
  return {choose(rows, a.state, b.state), choose(rows, a.momentum, b.momentum),
          choose(rows, a.velocity, b.velocity)};
}

/// Successive points of each row, first to last in time or against it: nothing below depends on
/// which.
struct Path {
  End first, last;
  at::Tensor momenta;     // their sum
  at::Tensor log_weight;  // [R] log sum of e^-H, beside the start's
  HmcState chosen;        // one of them, by its weight
};
Path choose(const at::Tensor& rows, const Path& a, const Path& b) {
  return {choose(rows, a.first, b.first), choose(rows, a.last, b.last),
          choose(rows, a.momenta, b.momenta), choose(rows, a.log_weight, b.log_weight),
          choose(rows, a.chosen, b.chosen)};
}

at::Tensor turns(const End& a, const End& b, const at::Tensor& momenta) {
  return (row_dot(a.velocity, momenta) <= 0).logical_or(row_dot(b.velocity, momenta) <= 0);
}
/// Of two paths one after the other; the middle is looked at from both sides, since a path that
/// begins in a half turn of its own would pass unseen.
at::Tensor join_turns(const Path& a, const Path& b) {
  return turns(a.first, b.last, a.momenta + b.momenta)
      .logical_or(turns(a.first, b.first, a.momenta + b.first.momentum))
      .logical_or(turns(a.last, b.last, b.momenta + a.last.momentum));
}

class Tree {
 public:
  Tree(const LogDensity& log_density, const HmcStep& step, Noise noise, at::Tensor start)
      : log_density_(log_density),
        step_(step),
        noise_(std::move(noise)),
        start_(std::move(start)),
        points_(at::zeros_like(start_)),
        acceptance_(at::zeros_like(start_)),
        largest_error_(at::full_like(start_, -kInfinity)) {}

  /// The 2^depth points that follow `from`, with the step's sign. Rows leave `alive` where they
  /// turn or diverge, and then theirs are not used.
  Path build(int64_t depth, const End& from, const at::Tensor& sign, at::Tensor& alive) {
    if (depth == 0) return advance(from, sign, alive);
    Path near = build(depth - 1, from, sign, alive);
    if (!any_row(alive)) return near;
    const Path far = build(depth - 1, near.last, sign, alive);
    if (!any_row(alive)) return near;
    const auto log_weight = at::logaddexp(near.log_weight, far.log_weight);
    const auto takes_far = uniform().log() < far.log_weight - log_weight;
    alive = alive.logical_and(join_turns(near, far).logical_not());
    return {near.first, far.last, near.momenta + far.momenta, log_weight,
            choose(takes_far, far.chosen, near.chosen)};
  }

  /// One number a row, [R].
  at::Tensor uniform() {
    return noise_.site(std::to_string(choices_++)).uniform(start_.sizes(), start_.options());
  }
  [[nodiscard]] const at::Tensor& largest_error() const { return largest_error_; }
  [[nodiscard]] at::Tensor acceptance() const { return acceptance_ / points_; }

 private:
  Path advance(const End& from, const at::Tensor& sign, at::Tensor& alive) {
    End to = from;
    leapfrog(log_density_, to.state, to.momentum,
             {sign * step_.step_size, step_.inverse_mass, /*leapfrog_steps=*/1});
    to.velocity = velocity(to.momentum, step_.inverse_mass);
    const auto energy = kinetic_energy(to.momentum, step_.inverse_mass) - to.state.log_density;
    const auto error = (energy - start_).masked_fill(energy.isfinite().logical_not(), kInfinity);
    points_ = points_ + alive;
    acceptance_ = acceptance_ + alive * (-error).clamp_max(0).exp();
    largest_error_ = at::where(alive, at::maximum(largest_error_, error), largest_error_);
    alive = alive.logical_and(error <= kDivergence);
    return {to, to, to.momentum, -error, to.state};
  }

  const LogDensity& log_density_;
  const HmcStep& step_;
  Noise noise_;
  int64_t choices_ = 0;
  // Of each row: the energy where it began, points seen, sum of their acceptance.
  at::Tensor start_, points_, acceptance_, largest_error_;
};

}  // namespace

HmcOutcome nuts_transition(const LogDensity& log_density, HmcState& state, const HmcStep& step,
                           const Noise& noise, int64_t max_depth) {
  if (max_depth < 1)
    throw ConfigError(fmt::format("nuts: max_depth = {}; expected >= 1", max_depth));
  const at::NoGradGuard no_grad;
  const auto options = state.position.options();
  const int64_t rows = state.position.size(0);
  End start{state,
            momentum_of(noise.site("momentum").normal(state.position.sizes(), options),
                        step.inverse_mass),
            {}};
  start.velocity = velocity(start.momentum, step.inverse_mass);
  Tree tree(log_density, step, noise.site("choice"),
            kinetic_energy(start.momentum, step.inverse_mass) - state.log_density);
  const auto directions = noise.site("direction").uniform({rows, max_depth}, options);
  Path path{start, start, start.momentum, at::zeros_like(state.log_density), state};  // in time
  auto going = at::ones({rows}, options.dtype(at::kBool)), moved = at::zeros_like(going);
  for (int64_t depth = 0; depth < max_depth; ++depth) {
    const auto forward = directions.select(1, depth) < 0.5;
    const auto sign = at::where(forward, 1.0, -1.0).to(options);
    Path more = tree.build(depth, choose(forward, path.last, path.first), sign, going);
    if (!any_row(going)) break;
    // Preferring later halves: by their weight beside that of all before, not of the whole.
    const auto takes =
        (tree.uniform().log() < more.log_weight - path.log_weight).logical_and(going);
    moved = moved.logical_or(takes);
    const Path reversed{more.last, more.first, more.momenta, more.log_weight, more.chosen};
    const Path before = choose(forward, path, reversed), after = choose(forward, more, path);
    const Path joined{before.first, after.last, path.momenta + more.momenta,
                      at::logaddexp(path.log_weight, more.log_weight),
                      choose(takes, more.chosen, path.chosen)};
    path = choose(going, joined, path);
    going = going.logical_and(join_turns(before, after).logical_not());
    if (!any_row(going)) break;
  }
  state = path.chosen;
  return {.acceptance = tree.acceptance(), .accepted = moved, .energy_error = tree.largest_error()};
}

}  // namespace elbo
