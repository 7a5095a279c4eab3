// Numbers that commands are given, refused in the words of the settings of `train`.
#pragma once

#include <CLI/App.hpp>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace elbo::cli {

/// The number that the whole of `text` is.
template <class T>
[[nodiscard]] std::optional<T> number_in(std::string_view text) {
  T value{};
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last) return std::nullopt;
  return value;
}

/// The check of an option: an integer from `least` to `most`, in digits. Without `most`,
/// `least` is 0 or 1.
[[nodiscard]] CLI::Validator integer(int64_t least,
                                     int64_t most = std::numeric_limits<int64_t>::max());

/// `--seed`, at first 0; `of` says of what.
void add_seed(CLI::App& command, uint64_t& seed, const std::string& of);

/// `--threads`, at first 0.
void add_threads(CLI::App& command, int64_t& threads);

}  // namespace elbo::cli
