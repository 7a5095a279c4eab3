#include "support/figure_files.h"

#include <nlohmann/json.hpp>

#include "elbo/io/atomic_file.h"

namespace elbo::cli {
namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& text, Files& files) {
  io::write_file(path, text);
  files.push_back(path.string());
}

void write_picture(const fs::path& base, const std::vector<std::byte>& png,
                   const std::vector<std::byte>& svg, Files& files) {
  for (const auto& [ending, bytes] : {std::pair{".png", &png}, std::pair{".svg", &svg}}) {
    io::write_file(base.string() + ending, *bytes);
    files.push_back(base.string() + ending);
  }
}

std::string to_csv(const nlohmann::ordered_json& rows) {
  std::string text;
  for (const auto& [name, value] : rows.front().items()) {
    if (!text.empty()) text += ',';
    text += name;
  }
  for (const auto& row : rows) {
    char before = '\n';
    for (const auto& cell : row) {
      text += before;
      if (!cell.is_null()) text += cell.is_string() ? cell.get<std::string>() : cell.dump();
      before = ',';
    }
  }
  return text + '\n';
}

std::string with_cells(const std::string& cells, const std::string& csv) {
  std::string text;
  for (size_t at = csv.find('\n') + 1; at < csv.size(); at = csv.find('\n', at) + 1)
    text += cells + "," + csv.substr(at, csv.find('\n', at) + 1 - at);
  return text;
}

}  // namespace elbo::cli
