// Figure 3: the marginal likelihood as AEVB, wake-sleep and Monte Carlo EM learn.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "support/figure_files.h"
#include "support/reproduction.h"

namespace elbo::cli {

[[nodiscard]] Files draw_figure3(const std::vector<Curve>& curves, const Reproduction& reproduction,
                                 const std::filesystem::path& out);

/// Each setting and learner with points: the last point that all its seeds have, as mean and
/// standard deviation over seeds, and how far its test log p(x) lies below AEVB's of the same seed
/// at 10^5, 10^6 and 10^7 gradient evaluations; null where not both have got there.
[[nodiscard]] nlohmann::ordered_json summary_of_figure3(const std::vector<Curve>& curves,
                                                        const Reproduction& reproduction);

[[nodiscard]] std::string text_of_figure3(const nlohmann::ordered_json& summary);

}  // namespace elbo::cli
