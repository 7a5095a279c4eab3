// Ctrl-C, taken without harm.
#pragma once

namespace elbo::cli {

/// From here on SIGINT and SIGTERM ask for a stop; a second one ends the program at once. To be
/// called before threads are started that compute.
void catch_interrupts();

/// Whether a stop was asked for.
[[nodiscard]] bool interrupted();

}  // namespace elbo::cli
