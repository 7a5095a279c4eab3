// Transformations of programs: each takes a program and gives another.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "elbo/program/trace.h"

namespace elbo {

/// Latent sites take the values they have in `source` (which must outlive the program): a model
/// replayed against a guide's trace evaluates p(x, z) at z ~ q. Sites `source` lacks are drawn.
[[nodiscard]] Program replay(Program program, const Trace& source);

/// Sites named in `values` become observed, with these values.
[[nodiscard]] Program condition(Program program, std::map<std::string, at::Tensor> values);

/// Sites that observe draw their value instead, as `sample` would: a draw of the joint p(x, z), for
/// the sleep phase or simulated data. They stay `observed`, which tells x from z.
[[nodiscard]] Program uncondition(Program program);

/// Latent sites with finitely many values take all of them at once, each along a dimension of its
/// own; see `posterior` and `log_marginal` for the sums over them.
[[nodiscard]] Program enumerate(Program program);

/// Latent sites named in `points` take all of these [K, event] at once, as `enumerate` does: a grid
/// over a continuous variable, whose density then stands for its cells' (see `log_joint`).
[[nodiscard]] Program on_grid(Program program, std::map<std::string, at::Tensor> points);

/// Sites for which `hide` holds run but are not recorded.
[[nodiscard]] Program block(Program program, std::function<bool(const Site&)> hide);

}  // namespace elbo
