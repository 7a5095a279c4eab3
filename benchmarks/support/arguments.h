// What a benchmark is asked for.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace elbo::bench {

inline const CLI::Range kPositive(1, 1'000'000'000);  // for options

constexpr int kUsage = 64;  // as the program ends where its arguments are wrong

/// Reads them into the options of `program`. Ends the process after --help, or with kUsage and a
/// line where they are not what it takes.
inline void parse(CLI::App& program, int argc, char** argv) {
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::exit(program.exit(e) == 0 ? EXIT_SUCCESS : kUsage);
  }
}

}  // namespace elbo::bench
