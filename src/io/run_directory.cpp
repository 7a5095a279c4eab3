#include "elbo/io/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "elbo/error.h"
#include "elbo/io/atomic_file.h"

namespace elbo::io {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kStepPrefix = "step-";
constexpr std::string_view kStepSuffix = ".safetensors";
constexpr std::string_view kLock = ".lock";

[[noreturn]] void throw_io(const fs::path& path, const std::string& what, int error) {
  throw IoError(path.string() + ": " + what + ": " + std::generic_category().message(error));
}

void remove_quietly(const fs::path& path) noexcept {
  std::error_code ignored;
  fs::remove(path, ignored);  // a directory only when it is empty
}

std::vector<fs::path> list(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    found.push_back(it->path());
  }
  return found;
}

std::string read_text(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The step of "step-000123.safetensors", or nothing for another name.
std::optional<int64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name.size() <= kStepPrefix.size() + kStepSuffix.size() || !name.starts_with(kStepPrefix) ||
      !name.ends_with(kStepSuffix)) {
    return {};
  }
  const char* first = name.data() + kStepPrefix.size();
  const char* last = name.data() + name.size() - kStepSuffix.size();
  int64_t step = 0;
  const auto [stop, error] = std::from_chars(first, last, step);
  if (error != std::errc() || stop != last || step < 0) return {};
  return step;
}

/// (step, file), newest first.
std::vector<std::pair<int64_t, fs::path>> list_checkpoints(const fs::path& directory) {
  std::vector<std::pair<int64_t, fs::path>> found;
  for (const fs::path& path : list(directory)) {
    if (const auto step = step_of(path)) found.emplace_back(*step, path);
  }
  std::sort(found.begin(), found.end(), std::greater<>());
  return found;
}

/// Calls `use(line, text, whole)` for each line, numbered from 1; `whole` is false for a last line
/// without a newline.
template <typename Use>
void for_each_line(const std::string& text, Use use) {
  size_t begin = 0;
  for (int64_t line = 1; begin < text.size(); ++line) {
    const size_t end = text.find('\n', begin);
    const bool whole = end != std::string::npos;
    use(line, text.substr(begin, (whole ? end : text.size()) - begin), whole);
    begin = whole ? end + 1 : text.size();
  }
}

json parse_line(const fs::path& path, int64_t line, const std::string& text) {
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) {
    throw DataError(path.string() + ": line " + std::to_string(line) + ": expected a JSON object");
  }
  return value;
}

bool is_object(const std::string& text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false).is_object();
}

bool is_run_file(const fs::path& path) {
  const std::string name = path.filename().string();
  return name == "model.json" || name == "weights.safetensors" || name == "metrics.jsonl" ||
         name == "report.html" || name == kLock || name.ends_with(".png") ||
         (name.starts_with('.') && name.find(".tmp.") != std::string::npos);
}

}  // namespace

RunDirectory RunDirectory::create(const fs::path& path) {
  RunDirectory run(path);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status)) {
    if (!fs::is_directory(status))
      throw IoError(path.string() + ": is a file; expected a directory");
    if (fs::exists(run.model_json(), error)) {
      throw ConfigError(path.string() + ": already holds a run; go on with it by --resume, " +
                        "or give another --out");
    }
    (void)fs::is_empty(path, error);
    if (error) throw_io(path, "cannot read", error.value());
    // A process that was killed before it had written more leaves its lock.
    for (const fs::path& found : list(path))
      if (found.filename() != kLock)
        throw ConfigError(path.string() + ": is not empty; expected a new or empty directory");
  } else if (error && error != std::errc::no_such_file_or_directory) {
    throw_io(path, "cannot create", error.value());
  }

  run.created_ = true;
  std::vector<fs::path> missing;
  for (fs::path p = fs::absolute(path).lexically_normal(); !fs::exists(p, error);
       p = p.parent_path()) {
    if (error && error != std::errc::no_such_file_or_directory) {
      throw_io(path, "cannot create", error.value());
    }
    if (p.has_filename()) missing.push_back(p);  // "a/b/" has an empty last part
  }
  for (auto p = missing.rbegin(); p != missing.rend(); ++p) {
    if (!fs::create_directory(*p, error) && error) {
      run.discard();
      throw_io(path, "cannot create", error.value());
    }
    run.made_.push_back(*p);
  }
  const fs::path probe = path / ".elbo-probe";
  try {
    write_file(probe, "writable\n");
  } catch (const IoError&) {
    run.discard();
    throw;
  }
  remove_quietly(probe);
  return run;
}

RunDirectory RunDirectory::open(const fs::path& path) {
  RunDirectory run(path);
  std::error_code error;
  if (!fs::exists(run.model_json(), error)) {
    if (error && error != std::errc::no_such_file_or_directory &&
        error != std::errc::not_a_directory) {
      throw_io(path, "cannot read", error.value());
    }
    throw NoInputError(path.string() + ": not a run directory (no model.json); make one with " +
                       "`elbo train DATA --out RUN`");
  }
  return run;
}

fs::path RunDirectory::figure(std::string_view name) const {
  return path_ / (std::string(name) + (name.ends_with(".png") ? "" : ".png"));
}

void RunDirectory::append_metrics(const json& metrics_object) const {
  std::string line = metrics_object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  int fd = -1;
  do {
    fd = ::open(metrics().c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) throw_io(metrics(), "cannot write", errno);

  int error = 0;
  off_t size = ::lseek(fd, 0, SEEK_END);
  char last = '\n';
  if (size > 0 && ::pread(fd, &last, 1, size - 1) == 1 && last != '\n') {
    // A crash tore the last line: keep it if it is whole but for its newline, else drop it.
    const std::string text = read_text(metrics());
    const size_t newline = text.rfind('\n');
    const size_t kept = newline == std::string::npos ? 0 : newline + 1;
    if (is_object(text.substr(kept))) {
      line.insert(0, 1, '\n');
    } else {
      size = static_cast<off_t>(kept);
      if (::ftruncate(fd, size) != 0) error = errno;
    }
  }
  for (size_t done = 0; error == 0 && done < line.size();) {
    const ssize_t count = ::write(fd, line.data() + done, line.size() - done);
    if (count >= 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  // Half a line is worse than none; if even this fails, reading drops the torn line.
  if (error != 0) [[maybe_unused]]
    const int ignored = ::ftruncate(fd, size);
  if (::close(fd) != 0 && error == 0 && errno != EINTR) error = errno;
  if (error != 0) throw_io(metrics(), "cannot write", error);
}

std::vector<json> RunDirectory::read_metrics() const {
  std::vector<json> rows;
  std::error_code ignored;
  if (!fs::exists(metrics(), ignored)) return rows;
  for_each_line(read_text(metrics()), [&](int64_t line, const std::string& text, bool whole) {
    if (!whole && !is_object(text)) return;
    rows.push_back(parse_line(metrics(), line, text));
  });
  return rows;
}

void RunDirectory::truncate_metrics(int64_t after_epoch) const {
  std::error_code ignored;
  if (!fs::exists(metrics(), ignored)) return;
  std::string kept;
  for_each_line(read_text(metrics()), [&](int64_t line, const std::string& text, bool whole) {
    if (!whole && !is_object(text)) return;
    const json row = parse_line(metrics(), line, text);
    const auto epoch = row.find("epoch");
    if (epoch != row.end() && epoch->is_number() &&
        epoch->get<double>() > static_cast<double>(after_epoch)) {
      return;
    }
    kept += text + "\n";
  });
  write_file(metrics(), kept);
}

void RunDirectory::save_checkpoint(const TensorFile& file, int64_t step) const {
  std::error_code error;
  fs::create_directory(checkpoint_dir(), error);
  if (error) throw_io(checkpoint_dir(), "cannot create", error.value());
  char name[64];
  std::snprintf(name, sizeof name, "step-%06lld.safetensors", static_cast<long long>(step));
  save(checkpoint_dir() / name, file);

  size_t kept = 0;
  for (const auto& [other, path] : list_checkpoints(checkpoint_dir())) {
    // A later step can only be a damaged file, or one that this run went back behind.
    if (other <= step && kept < kCheckpointsKept) {
      ++kept;
    } else {
      remove_quietly(path);
    }
  }
}

std::optional<Checkpoint> RunDirectory::latest_checkpoint() const {
  std::vector<std::string> skipped;
  for (const auto& [step, path] : list_checkpoints(checkpoint_dir())) {
    try {
      return Checkpoint{step, load(path), std::move(skipped)};
    } catch (const DataError& damaged) {
      skipped.emplace_back(damaged.what());
    }
  }
  if (!skipped.empty()) throw DataError(skipped.front() + "; no other checkpoint is readable");
  return {};
}

FileLock RunDirectory::lock() const {
  auto lock = FileLock::try_lock(path_ / kLock);
  if (!lock)
    throw ConfigError(path_.string() + ": another process is training this run; wait for it, or " +
                      "give another --out");
  return std::move(*lock);
}

void RunDirectory::discard() const noexcept {
  if (!created_) return;
  try {
    if (!list_checkpoints(checkpoint_dir()).empty()) return;
    for (const fs::path& path : list(checkpoint_dir())) {
      if (is_run_file(path)) remove_quietly(path);
    }
    remove_quietly(checkpoint_dir());
    for (const fs::path& path : list(path_)) {
      if (is_run_file(path)) remove_quietly(path);
    }
    for (auto p = made_.rbegin(); p != made_.rend(); ++p) remove_quietly(*p);
  } catch (const std::bad_alloc&) {
    // Called while another error is on its way: leaving files behind is the lesser evil.
    return;
  }
}

}  // namespace elbo::io
