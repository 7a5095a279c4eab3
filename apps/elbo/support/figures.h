// The paper's figures, drawn from what their curves have left so far.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/reproduction.h"

namespace elbo::cli {

/// Writes FIGURE.png and the numbers it shows as CSV below `out`, from those of the figure's curves
/// that have been begun; what was written. Nothing where none has been.
[[nodiscard]] std::vector<std::string> draw_figure(const std::string& figure,
                                                   const Reproduction& reproduction,
                                                   const std::filesystem::path& out);

/// Of each setting of figure 2 that has points of both learners: the two test bounds at 10^6 and
/// 10^7 samples, the peak of AEVB's and its fall from there, the largest variance of an estimate.
[[nodiscard]] nlohmann::ordered_json summary_of_figure2(const Reproduction& reproduction);

/// The summary as a table for people.
[[nodiscard]] std::string summary_text(const nlohmann::ordered_json& summary);

}  // namespace elbo::cli
