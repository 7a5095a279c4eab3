#include "source_dir.h"

namespace elbo::testing {

std::string source_dir() { return ELBO_SOURCE_DIR; }

}  // namespace elbo::testing
