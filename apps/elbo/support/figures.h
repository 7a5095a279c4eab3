// The paper's figures, drawn from what their curves have left so far.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/reproduction.h"

namespace elbo::cli {

/// Writes FIGURE.png, FIGURE.svg and the numbers they show as CSV below `out`, from those of the
/// figure's `curves` that have been begun; what was written. Nothing where none has been.
[[nodiscard]] std::vector<std::string> draw_figure(const std::string& figure,
                                                   const std::vector<Curve>& curves,
                                                   const Reproduction& reproduction,
                                                   const std::filesystem::path& out);

/// What a figure's curves come to, a row a finding; empty for the figures of pictures.
///
/// Figure 2, each setting that has points of both learners: the two test bounds at 10^6 and 10^7
/// samples, the peak of AEVB's and its fall from there, the largest variance of an estimate. Figure
/// 3, each setting and learner: see `summary_of_figure3`.
[[nodiscard]] nlohmann::ordered_json summary_of(const std::string& figure,
                                                const std::vector<Curve>& curves,
                                                const Reproduction& reproduction);

/// The summary as a table for people.
[[nodiscard]] std::string summary_text(const std::string& figure,
                                       const nlohmann::ordered_json& summary);

}  // namespace elbo::cli
