// A run's report: one page that needs nothing but itself.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace elbo::plotting {

struct Report {
  struct Figure {
    std::string title;
    std::string caption = {};
    std::vector<std::byte> png = {};
    bool pixelated = false;  ///< enlarge without smoothing: for grids of small images
  };

  std::string title;
  std::vector<std::pair<std::string, std::string>> settings = {};  ///< name, value
  std::vector<std::pair<std::string, std::string>> results = {};
  std::vector<Figure> figures = {};
};

/// A complete HTML page: styles and pictures inside, no scripts, no links. All text is escaped.
[[nodiscard]] std::string report_html(const Report& report);

}  // namespace elbo::plotting
