// elbo: the command-line program. One try/catch, one line of error, distinct exit codes.
#include <c10/util/Exception.h>
#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "commands.h"
#include "elbo/error.h"

namespace elbo::cli {
namespace {

int fail(const std::string& message, int code) {
  const auto line = message.substr(0, message.find('\n'));
  std::fprintf(stderr, "elbo: %s\n", line.c_str());
  return code;
}

/// Runs the command, or prints what --help and --version ask for.
void perform(CLI::App& program, int argc, char** argv) {
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& e) {
    program.exit(e);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw IoError(std::string("standard output: cannot write: ") + std::strerror(errno));
}

}  // namespace

int run(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a full quota is an error to report, not a death

  CLI::App program{"Deep latent-variable models: learn p(x, z) and q(z | x) by the ELBO.", "elbo"};
  program.set_version_flag("--version", ELBO_VERSION);
  program.require_subcommand(1);
  program.footer("Example: elbo train digits --out runs/digits");
  for (const auto add :
       {add_train, add_evaluate, add_compare, add_sample, add_manifold, add_reconstruct, add_encode,
        add_decode, add_cluster, add_classify, add_styles, add_reproduce, add_info, add_data})
    add(program);
  try {
    perform(program, argc, argv);
  } catch (const CLI::ParseError& e) {
    return fail(std::string(e.what()) + " (see elbo --help)", EX_USAGE);
  } catch (const NoInputError& e) {
    return fail(e.what(), EX_NOINPUT);
  } catch (const DataError& e) {
    return fail(e.what(), EX_DATAERR);
  } catch (const IoError& e) {
    return fail(e.what(), EX_IOERR);
  } catch (const ConfigError& e) {
    return fail(e.what(), EX_CONFIG);
  } catch (const NumericError& e) {
    return fail(e.what(), EX_SOFTWARE);
  } catch (const Error& e) {
    return fail(e.what(), EX_SOFTWARE);
  } catch (const c10::Error& e) {
    return fail(std::string("internal: ") + e.what_without_backtrace(), EX_SOFTWARE);
  } catch (const std::exception& e) {
    return fail(std::string("internal: ") + e.what(), EX_SOFTWARE);
  }
  return EX_OK;
}

}  // namespace elbo::cli

int main(int argc, char** argv) {
  const int code = elbo::cli::run(argc, argv);
  std::fflush(nullptr);
  std::_Exit(code);  // libtorch's static objects would take a tenth of a second to go
}
