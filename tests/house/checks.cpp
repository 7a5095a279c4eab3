#include "checks.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

namespace elbo::house {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFoundation = "(foundation)";
constexpr std::string_view kUmbrella = "(umbrella)";

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(line);
  }
  return lines;
}

std::string trimmed(const std::string& line) {
  const auto first = line.find_first_not_of(" \t");
  if (first == std::string::npos) return "";
  return line.substr(first, line.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream in(path);
  for (std::string part; std::getline(in, part, '/');) parts.push_back(part);
  return parts;
}

std::string stem_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

bool is_library_code(const std::string& path) {
  return path.starts_with("include/elbo/") || path.starts_with("src/");
}

/// The area of "AREA/..." or of "FILE" at the root of include/elbo or src.
std::string area_of(const std::string& path_below_root) {
  const auto parts = parts_of(path_below_root);
  if (parts.size() > 1) return parts[0];
  const std::string stem = stem_of(parts[0]);
  if (stem == "elbo") return std::string(kUmbrella);
  return allowed_edges().contains(stem) ? stem : std::string(kFoundation);
}

std::string area_of_file(const std::string& path) {
  constexpr std::string_view include_root = "include/elbo/", source_root = "src/";
  return area_of(
      path.substr(path.starts_with(include_root) ? include_root.size() : source_root.size()));
}

std::string at_line(const std::string& path, std::size_t index) {
  return path + ":" + std::to_string(index + 1) + ": ";
}

}  // namespace

Tree read_tree(const std::string& root) {
  static const std::set<std::string> kSkippedFolders = {".git", "build", "runs", ".cache"};
  static const std::set<std::string> kTextSuffixes = {".h",   ".cpp", ".cu", ".cmake",
                                                      ".txt", ".py",  ".md", ".json"};
  Tree tree;
  for (fs::recursive_directory_iterator it(root), end; it != end; ++it) {
    const std::string name = it->path().filename().string();
    if (it->is_directory()) {
      if (kSkippedFolders.contains(name)) it.disable_recursion_pending();
      continue;
    }
    const std::string path = fs::relative(it->path(), root).generic_string();
    const bool is_text =
        kTextSuffixes.contains(it->path().extension().string()) || path.starts_with("tools/");
    if (!it->is_regular_file() || !is_text) continue;
    std::ifstream in(it->path(), std::ios::binary);
    std::ostringstream contents;
    contents << in.rdbuf();
    tree[path] = contents.str();
  }
  return tree;
}

std::string strip_comments_and_literals(std::string_view source) {
  std::string out(source);
  const auto blank = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < std::min(to, out.size()); ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
  };
  const auto ends_at = [&](std::string_view mark, std::size_t from) {
    const auto at = source.find(mark, from);
    return at == std::string_view::npos ? source.size() : at + mark.size();
  };
  bool in_include = false;
  for (std::size_t i = 0; i < source.size();) {
    const char c = source[i];
    const bool after_word =
        i > 0 && (std::isalnum(static_cast<unsigned char>(source[i - 1])) || source[i - 1] == '_');
    std::size_t next = i + 1;
    if (c == '\n') {
      in_include = false;
    } else if (source.substr(i).starts_with("#include")) {
      in_include = true;
    } else if (source.substr(i).starts_with("//")) {
      next = std::min(source.find('\n', i), source.size());
      blank(i, next);
    } else if (source.substr(i).starts_with("/*")) {
      next = ends_at("*/", i + 2);
      blank(i, next);
    } else if (source.substr(i).starts_with("R\"") && !after_word) {
      const auto open = source.find('(', i);
      if (open != std::string_view::npos) {
        const std::string close = ")" + std::string(source.substr(i + 2, open - i - 2)) + "\"";
        next = ends_at(close, open);
        blank(i, next);
      }
    } else if (!in_include && (c == '"' || (c == '\'' && !after_word))) {  // 1'000 is no literal
      while (next < source.size() && source[next] != c && source[next] != '\n') {
        next += source[next] == '\\' ? 2 : 1;
      }
      next = std::min(next + 1, source.size());
      blank(i, next);
    }
    i = next;
  }
  return out;
}

const std::map<std::string, std::set<std::string>>& allowed_edges() {
  static const std::map<std::string, std::set<std::string>> kEdges = {
      {"kernels", {}},
      {"io", {}},
      {"plotting", {}},
      {"distributions", {"kernels"}},
      {"optim", {"kernels"}},
      {"nn", {"kernels", "distributions"}},
      {"program", {"kernels", "distributions"}},
      {"estimators", {"kernels", "distributions", "program"}},
      {"inference", {"kernels", "distributions", "program", "estimators", "optim"}},
      {"models", {"kernels", "distributions", "program", "nn"}},
      {"data", {"kernels", "io"}},
      {"training", {"kernels", "program", "estimators", "inference", "optim", "data", "io"}},
      {"evaluation",
       {"kernels", "distributions", "program", "estimators", "inference", "models", "data"}},
      {"cli",
       {"kernels", "io", "plotting", "distributions", "optim", "nn", "program", "estimators",
        "inference", "models", "data", "training", "evaluation"}},
  };
  return kEdges;
}

Findings upward_includes(const Tree& tree) {
  static const std::regex kPublic(R"re(^\s*#\s*include\s*[<"]elbo/([^>"]+)[>"])re");
  static const std::regex kPrivate(R"re(^\s*#\s*include\s*"(?:\.\./|src/)*([^"]+)")re");
  Findings findings;
  for (const auto& [path, contents] : tree) {
    if (!is_library_code(path)) continue;
    const std::string from = area_of_file(path);
    if (from == kUmbrella) continue;
    if (from != kFoundation && !allowed_edges().contains(from)) {
      findings.push_back(path + ": area '" + from + "' is not in the table of allowed edges");
      continue;
    }
    const auto lines = lines_of(strip_comments_and_literals(contents));
    for (std::size_t i = 0; i < lines.size(); ++i) {
      std::smatch match;
      std::string to;
      if (std::regex_search(lines[i], match, kPublic)) {
        to = area_of(match[1]);
      } else if (std::regex_search(lines[i], match, kPrivate)) {
        const auto parts = parts_of(match[1]);
        if (parts.size() < 2 || !allowed_edges().contains(parts[0])) continue;  // a neighbour
        to = parts[0];
      } else {
        continue;
      }
      if (to == from || to == kFoundation) continue;
      const auto edges = allowed_edges().find(from);
      if (edges != allowed_edges().end() && edges->second.contains(to)) continue;
      findings.push_back(at_line(path, i) + from + " may not use " + to);
    }
  }
  return findings;
}

Findings unpaired_sources_and_tests(const Tree& tree) {
  Findings findings;
  std::set<std::string> tested_areas;
  for (const auto& [path, contents] : tree) {
    const auto parts = parts_of(path);
    if (parts.size() == 3 && parts[0] == "tests" && parts[2].ends_with("_test.cpp")) {
      tested_areas.insert(parts[1]);
    }
  }
  std::set<std::string> areas;
  for (const auto& [path, contents] : tree) {
    const auto parts = parts_of(path);
    if (parts[0] != "src" || parts.size() < 3) continue;
    areas.insert(parts[1]);
    if (parts.size() != 3 || !path.ends_with(".cpp")) continue;  // src/AREA/detail
    // Commands are tested as a program, through command lines.
    if (parts[1] == "cli" && tested_areas.contains("cli")) continue;
    const std::string test = "tests/" + parts[1] + "/" + stem_of(parts[2]) + "_test.cpp";
    if (!tree.contains(test)) findings.push_back(path + ": has no " + test);
  }
  for (const auto& [path, contents] : tree) {
    const auto parts = parts_of(path);
    if (parts.size() != 3 || parts[0] != "tests" || !parts[2].ends_with("_test.cpp")) continue;
    if (!areas.contains(parts[1]) || parts[1] == "cli") continue;
    std::string stem = parts[2].substr(0, parts[2].size() - std::string("_test.cpp").size());
    if (stem.ends_with("_statistical")) stem.resize(stem.size() - 12);
    if (!tree.contains("src/" + parts[1] + "/" + stem + ".cpp") &&
        !tree.contains("include/elbo/" + parts[1] + "/" + stem + ".h")) {
      findings.push_back(path + ": tests neither src/" + parts[1] + "/" + stem +
                         ".cpp nor include/elbo/" + parts[1] + "/" + stem + ".h");
    }
  }
  return findings;
}

Findings aten_samplers(const Tree& tree) {
  // In-place ones only as methods: `normal_(...)` alone may initialise a private member.
  static const std::regex kSampler(
      R"re((?:^|[^\w.>:]|\bat::|\btorch::|\bnative::))re"
      R"re((?:randn|rand|randint|randn_like|rand_like|randint_like|randperm|_standard_gamma|)re"
      R"re(_sample_dirichlet|poisson|multinomial)\s*\()re"
      R"re(|\b(?:at|torch)::(?:native::)?(?:normal|bernoulli|binomial|dropout)\s*\()re"
      R"re(|(?:\.|->|::)(?:bernoulli_|normal_|uniform_|exponential_|geometric_|cauchy_|)re"
      R"re(log_normal_|random_|multinomial)\s*\()re"
      R"re(|(?:\.|->)bernoulli\(\s*\))re");
  Findings findings;
  for (const auto& [path, contents] : tree) {
    if (!is_library_code(path)) continue;
    const auto lines = lines_of(strip_comments_and_literals(contents));
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (std::regex_search(lines[i], kSampler)) {
        findings.push_back(at_line(path, i) + "ATen sampler in '" + trimmed(lines[i]) + "'");
      }
    }
  }
  return findings;
}

Findings unrecorded_kernels(const Tree& tree, const std::set<std::string>& except) {
  static const std::set<std::string> kOfPrograms = {"kernels", "distributions", "nn",
                                                    "program", "estimators",    "models"};
  Findings findings;
  for (const auto& [path, contents] : tree) {
    if (!path.starts_with("src/") || !kOfPrograms.contains(area_of_file(path))) continue;
    const auto code = strip_comments_and_literals(contents);
    if (code.find("data_ptr") == std::string::npos || except.contains(path)) continue;
    if (code.find("recording::") == std::string::npos)
      findings.push_back(path + ": takes a tensor's data_ptr without a word to recording::");
  }
  return findings;
}

Findings long_files(const Tree& tree, std::size_t limit, const std::set<std::string>& except) {
  Findings findings;
  for (const auto& [path, contents] : tree) {
    if (except.contains(path) || path.ends_with(".json")) continue;  // fixtures and compile output
    const auto count = lines_of(contents).size();
    if (count > limit) {
      findings.push_back(path + ": " + std::to_string(count) + " lines; expected at most " +
                         std::to_string(limit));
    }
  }
  return findings;
}

Findings heavy_or_unguarded_headers(const Tree& tree) {
  // Pieces such as <torch/nn/module.h> are affordable, the umbrellas are not.
  static const std::regex kTorch(
      R"re(^\s*#\s*include\s*[<"]torch/(?:torch|all|nn|optim|script|extension)\.h)re");
  Findings findings;
  for (const auto& [path, contents] : tree) {
    if (!path.starts_with("include/elbo/") || !path.ends_with(".h")) continue;
    const auto lines = lines_of(strip_comments_and_literals(contents));
    bool guarded = false;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      guarded = guarded || trimmed(lines[i]) == "#pragma once";
      if (std::regex_search(lines[i], kTorch)) {
        findings.push_back(at_line(path, i) + "a public header may not include all of torch");
      }
    }
    if (!guarded) findings.push_back(path + ": has no #pragma once");
  }
  return findings;
}

Findings snippets_not_in(const Tree& tree, const std::string& page, const std::string& example) {
  if (!tree.contains(page)) return {page + ": not found"};
  if (!tree.contains(example)) return {example + ": not found"};
  std::set<std::string> known;
  for (const auto& line : lines_of(tree.at(example))) known.insert(trimmed(line));
  Findings findings;
  bool in_block = false;
  const auto lines = lines_of(tree.at(page));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].starts_with("```")) {
      in_block = !in_block && lines[i] == "```cpp";
    } else if (in_block && !trimmed(lines[i]).empty() && !known.contains(trimmed(lines[i]))) {
      findings.push_back(at_line(page, i) + "'" + trimmed(lines[i]) + "' is not in " + example);
    }
  }
  return findings;
}

}  // namespace elbo::house
