// The files of a figure.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace elbo::cli {

/// What was written, in order.
using Files = std::vector<std::string>;

void write(const std::filesystem::path& path, const std::string& text, Files& files);
/// BASE.png and BASE.svg.
void write_picture(const std::filesystem::path& base, const std::vector<std::byte>& png,
                   const std::vector<std::byte>& svg, Files& files);

/// Objects of the same fields as lines below a header; null is an empty cell.
[[nodiscard]] std::string to_csv(const nlohmann::ordered_json& rows);

/// Each line of `csv` but the header, with `cells` before it.
[[nodiscard]] std::string with_cells(const std::string& cells, const std::string& csv);

}  // namespace elbo::cli
