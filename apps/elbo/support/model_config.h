// The model that a training's settings and data ask for.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "elbo/data/data_set.h"
#include "support/settings.h"

namespace elbo::cli {

/// The configuration, for `make_model`. Throws ConfigError for a setting that names nothing.
[[nodiscard]] nlohmann::json model_config(const Settings& settings, const data::DataSet& set);

}  // namespace elbo::cli
