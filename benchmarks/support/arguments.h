// What a benchmark is asked for.
#pragma once

#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace elbo::bench {

/// CLI::PositiveNumber would print the largest double there is.
inline const CLI::Range kPositive(1, 1'000'000'000);

/// Reads them into the options of `program`. Ends the process after --help, or with EX_USAGE and a
/// line where they are not what it takes.
inline void parse(CLI::App& program, int argc, char** argv) {
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::exit(program.exit(e) == 0 ? EXIT_SUCCESS : EX_USAGE);
  }
}

}  // namespace elbo::bench
