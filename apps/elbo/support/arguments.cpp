#include "support/arguments.h"

#include <fmt/format.h>

namespace elbo::cli {

CLI::Validator integer(int64_t least, int64_t most) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  const bool has_most = most < kLargest;
  const auto range =
      has_most ? fmt::format("from {} to {}", least, most) : fmt::format(">= {}", least);
  const auto refuse = [=](const std::string& text) -> std::string {
    const auto value = number_in<int64_t>(text);
    if (value && *value >= least && *value <= most) return "";
    return fmt::format("'{}'; expected an integer {}", text, range);
  };
  const auto in_help = has_most     ? fmt::format("{}-{}", least, most)
                       : least == 1 ? std::string("POSITIVE")
                                    : std::string("NONNEGATIVE");
  return {refuse, in_help};
}

void add_seed(CLI::App& command, uint64_t& seed, const std::string& of) {
  command.add_option("--seed", seed, of)->check(integer(0))->default_str("0");
}

void add_threads(CLI::App& command, int64_t& threads) {
  command.add_option("--threads", threads, "0: as many as the machine has")
      ->check(integer(0))
      ->default_str("0");
}

}  // namespace elbo::cli
