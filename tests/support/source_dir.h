// Where fixtures lie.
#pragma once

#include <string>

namespace elbo::testing {

/// The root of the source tree.
[[nodiscard]] std::string source_dir();

}  // namespace elbo::testing
