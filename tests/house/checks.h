// The rules of the house as functions on file contents, so that each can be shown to fail.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::house {

/// Path relative to the root of the project, with '/', to contents.
using Tree = std::map<std::string, std::string>;

/// What a check found: one line for each violation, none when the rule is kept.
using Findings = std::vector<std::string>;

/// Reads the text files of the project, without version control, builds and runs.
Tree read_tree(const std::string& root);

/// Blanks out comments, string and character literals; keeps every line break.
/// Contents of include directives are kept.
std::string strip_comments_and_literals(std::string_view source);

/// The areas of the library, each with the areas that it may include.
const std::map<std::string, std::set<std::string>>& allowed_edges();

/// Each include in include/elbo and src must go to the same area or to an allowed one.
Findings upward_includes(const Tree& tree);

/// Each src/AREA/x.cpp has tests/AREA/x_test.cpp, and each test of an area has what it tests.
Findings unpaired_sources_and_tests(const Tree& tree);

/// Random numbers come from keyed noise only: ATen's samplers do not occur in include and src.
Findings aten_samplers(const Tree& tree);

/// Kernels that programs run say to a plan (kernels/plan.h) that they can be replayed or that they
/// cannot: a source below `estimators` that takes a pointer to a tensor's numbers names
/// `recording`.
Findings unrecorded_kernels(const Tree& tree, const std::set<std::string>& except);

/// No source, script or page is longer than `limit` lines, except those named.
Findings long_files(const Tree& tree, std::size_t limit, const std::set<std::string>& except);

/// Public headers have `#pragma once` and never include <torch/torch.h> or its like.
Findings heavy_or_unguarded_headers(const Tree& tree);

/// The C++ blocks of a page must occur, line by line, in the example they are cut from.
Findings snippets_not_in(const Tree& tree, const std::string& page, const std::string& example);

}  // namespace elbo::house
