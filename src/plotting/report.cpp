#include "elbo/plotting/report.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

namespace elbo::plotting {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --text: #1c2128; --quiet: #5b6470;
  --line: #e3e6ea; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171c; --card: #1d2127; --text: #e6e9ed;
  --quiet: #9aa4b1; --line: #31373f; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 28px; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 12px; }
section, figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 20px 24px; margin: 0 0 20px; }
.results { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 16px;
  margin: 0; }
.results dt { color: var(--quiet); font-size: .85rem; }
.results dd { margin: 0; font-size: 1.45rem; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.settings { columns: 2 340px; column-gap: 40px; margin: 0; }
.settings div { display: flex; justify-content: space-between; gap: 16px; padding: 5px 0;
  border-bottom: 1px solid var(--line); break-inside: avoid; font-size: .92rem; }
.settings dt { color: var(--quiet); }
.settings dd { margin: 0; text-align: right; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; }
.frame { background: #fff; border-radius: 8px; padding: 8px; text-align: center; }
img { display: inline-block; vertical-align: middle; max-width: 100%; height: auto; }
img.pixels { image-rendering: pixelated; min-width: min(100%, 420px); }
figcaption { color: var(--quiet); font-size: .92rem; margin-top: 12px; }
@media print { body { background: #fff; } section, figure { break-inside: avoid; } }
)";

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = (group << 8U) | (j < count ? std::to_integer<uint32_t>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += j <= count ? kDigits[(group >> (18 - 6 * j)) & 63U] : '=';
    }
  }
  return out;
}

std::string pairs(const std::vector<std::pair<std::string, std::string>>& rows,
                  std::string_view heading, std::string_view kind) {
  if (rows.empty()) return {};
  std::string out = "<section>\n<h2>" + std::string(heading) + "</h2>\n<dl class=\"" +
                    std::string(kind) + "\">\n";
  for (const auto& [name, value] : rows) {
    out += "<div><dt>" + escape(name) + "</dt><dd>" + escape(value) + "</dd></div>\n";
  }
  return out + "</dl>\n</section>\n";
}

}  // namespace

std::string report_html(const Report& report) {
  const std::string title = escape(report.title);
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
      title + "</title>\n<style>" + std::string(kStyle) +
      "</style>\n</head>\n<body>\n<main>\n<h1>" + title + "</h1>\n";
  out += pairs(report.results, "Results", "results");
  for (const Report::Figure& figure : report.figures) {
    out += "<figure>\n<h2>" + escape(figure.title) + "</h2>\n<div class=\"frame\"><img" +
           (figure.pixelated ? " class=\"pixels\"" : "") + " alt=\"" + escape(figure.title) +
           "\" src=\"data:image/png;base64," + base64(figure.png) + "\"></div>\n";
    if (!figure.caption.empty()) {
      out += "<figcaption>" + escape(figure.caption) + "</figcaption>\n";
    }
    out += "</figure>\n";
  }
  out += pairs(report.settings, "Settings", "settings");
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace elbo::plotting
