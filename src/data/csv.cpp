#include "elbo/data/csv.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace elbo::data {
namespace {

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) == y;
         });
}

bool is_missing(std::string_view field) {
  return field.empty() || equals_ignoring_case(field, "nan") || equals_ignoring_case(field, "na");
}

enum class Parsed { kNumber, kMissing, kInfinite, kWord };

Parsed parse_field(std::string_view field, double& value) {
  if (is_missing(field)) {
    value = std::numeric_limits<double>::quiet_NaN();
    return Parsed::kMissing;
  }
  std::string_view digits = field;
  if (digits.front() == '+') digits.remove_prefix(1);  // from_chars takes only a minus
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size()) return Parsed::kWord;
  if (error == std::errc::result_out_of_range) {
    const bool tiny = field.find("e-") != field.npos || field.find("E-") != field.npos;
    value = 0;
    return tiny ? Parsed::kNumber : Parsed::kInfinite;
  }
  if (error != std::errc{}) return Parsed::kWord;
  return std::isfinite(value) ? Parsed::kNumber : Parsed::kInfinite;
}

// A message stays one short printable line whatever the file holds.
std::string shown(std::string_view field) {
  std::string text(field.substr(0, 40));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return "'" + text + (field.size() > 40 ? "…'" : "'");
}

void split(std::string_view line, char separator, std::vector<std::string_view>& fields) {
  fields.clear();
  for (;;) {
    const std::string_view start = trim(line);
    size_t from = 0;
    const bool quoted = separator != '\t' && !start.empty() && start.front() == '"';
    if (quoted) {  // a separator inside the quotes does not count
      const size_t open = static_cast<size_t>(start.data() - line.data());
      const size_t close = line.find('"', open + 1);
      from = close == line.npos ? 0 : close;
    }
    const size_t end = line.find(separator, from);
    std::string_view field = trim(line.substr(0, end));
    if (field.size() >= 2 && field.front() == '"' && field.back() == '"') {
      field = trim(field.substr(1, field.size() - 2));
    }
    fields.push_back(field);
    if (end == line.npos) return;
    line.remove_prefix(end + 1);
  }
}

char separator_of(std::string_view first_row) {
  for (const char candidate : {';', '\t'}) {
    if (first_row.find(candidate) != first_row.npos) return candidate;
  }
  return ',';
}

bool is_header(const std::vector<std::string_view>& fields) {
  double value = 0;
  bool any_word = false;
  for (const std::string_view field : fields) {
    const Parsed parsed = parse_field(field, value);
    if (parsed == Parsed::kNumber || parsed == Parsed::kInfinite) return false;
    any_word = any_word || parsed == Parsed::kWord;
  }
  return any_word;
}

}  // namespace

Array parse_csv(std::string_view text, std::string_view name_view) {
  const std::string name(name_view);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<double> values;
  std::vector<std::string_view> fields;
  size_t columns = 0;
  int64_t rows = 0;
  int64_t line_number = 0;
  char separator = ',';
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    ++line_number;
    if (trim(line).empty() && line.find('\t') == line.npos) continue;
    const auto place = [&] { return name + ": row " + std::to_string(line_number); };
    if (columns == 0) separator = separator_of(line);
    split(line, separator, fields);
    if (columns == 0) {
      columns = fields.size();
      if (is_header(fields)) continue;
    }
    if (fields.size() != columns) {
      throw DataError(place() + ": expected " + std::to_string(columns) + " columns, got " +
                      std::to_string(fields.size()));
    }
    for (size_t i = 0; i < columns; ++i) {
      double value = 0;
      const Parsed parsed = parse_field(fields[i], value);
      if (parsed == Parsed::kWord || parsed == Parsed::kInfinite) {
        throw DataError(place() + ", column " + std::to_string(i + 1) + ": expected a " +
                        (parsed == Parsed::kWord ? "number" : "finite number") + ", got " +
                        shown(fields[i]));
      }
      values.push_back(value);
    }
    ++rows;
  }
  if (rows == 0) throw DataError(name + ": holds no rows of numbers");
  Array array = Array::zeros({rows, static_cast<int64_t>(columns)}, DType::kFloat64);
  std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
  return array;
}

}  // namespace elbo::data
