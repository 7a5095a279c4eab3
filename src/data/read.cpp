#include "elbo/data/read.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/data/bytes_source.h"
#include "elbo/data/csv.h"
#include "elbo/data/idx.h"
#include "elbo/data/npy.h"

namespace elbo::data {
namespace {

constexpr std::string_view kExpected = "expected an IDX, NPY or CSV file, plain or .gz";

[[noreturn]] void refuse_folder(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  try {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
    }
  } catch (const std::filesystem::filesystem_error& error) {
    throw IoError(folder.string() + ": can't list the folder: " + error.code().message());
  }
  if (names.empty()) {
    throw NoInputError("folder " + folder.string() + " holds no data file; " +
                       std::string(kExpected));
  }
  const std::string first = *std::min_element(names.begin(), names.end());
  throw DataError(folder.string() + ": is a folder of " + std::to_string(names.size()) +
                  " files; name one of them, such as " + (folder / first).string());
}

// The file's name in small letters without .gz.
std::string plain_name(const std::filesystem::path& path) {
  std::string name = path.filename().string();
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  return name;
}

}  // namespace

Array read_array(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) refuse_folder(path);
  const std::string shown = path.string();
  Bytes bytes = read_bytes(path);
  const std::string name = plain_name(path);
  if (bytes.empty()) throw DataError(shown + ": the file is empty; " + std::string(kExpected));
  const std::span<const std::byte> seen(bytes.data(), bytes.size());
  if (looks_like_npy(seen) || name.ends_with(".npy")) return parse_npy(std::move(bytes), shown);
  if (name.ends_with(".csv") || name.ends_with(".tsv") || name.ends_with(".txt")) {
    return parse_csv({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, shown);
  }
  const bool named_idx =
      name.find("-idx") != name.npos || name.ends_with("ubyte") || name.ends_with(".idx");
  if (looks_like_idx(seen) || named_idx) return parse_idx(std::move(bytes), shown);
  throw DataError(shown + ": format not recognised; " + std::string(kExpected));
}

}  // namespace elbo::data
