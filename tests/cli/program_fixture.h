// Runs the program in a scratch folder with its output captured.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "data/files.h"

namespace elbo::cli::testing {

using data::testing::contains;
using data::testing::idx_text;
using data::testing::read_text;
using nlohmann::json;
using Words = std::vector<std::string>;

struct Result {
  int code = -1;  ///< the exit code; -signal when a signal ended the program
  std::string out, err;
  uint64_t blocked = 0;  ///< the signals that its first thread did not take when it was stopped
};

/// What the program finds around it.
struct Surroundings {
  rlim_t file_size = RLIM_INFINITY;  ///< writes beyond fail, as on a full disk
  std::string tmpfs = {};            ///< a folder of the scratch folder to mount a small disk on
  std::string stop_at = {};          ///< SIGTERM as soon as this is on its stderr
};

constexpr int kCannotMount = 99;

inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class ProgramTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return work_ / name; }
  void write(const std::string& name, const std::string& text) const {
    data::testing::write_file(file(name), text);
  }
  [[nodiscard]] bool exists(const std::string& name) const {
    return std::filesystem::exists(file(name));
  }
  [[nodiscard]] std::string read(const std::string& name) const { return read_text(file(name)); }

  /// `elbo words...` in the scratch folder, where $ELBO_DATA is its folder "data".
  Result elbo(const Words& words, const Surroundings& around = {}) const {
    return execute(Words{ELBO_PROGRAM} + words, around);
  }

  Result execute(const Words& words, const Surroundings& around = {}) const {
    const auto out = captured_.path() / "out", err = captured_.path() / "err";
    std::filesystem::remove(err);
    const pid_t child = ::fork();
    if (child == 0) become(words, around, out, err);
    uint64_t blocked = 0;
    if (!around.stop_at.empty()) {
      const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (!contains(read_text(err), around.stop_at) &&
             std::chrono::steady_clock::now() < give_up)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const auto state = read_text("/proc/" + std::to_string(child) + "/status");
      if (const auto at = state.find("SigBlk:"); at != std::string::npos)
        blocked = std::stoull(state.substr(at + 7), nullptr, 16);
      ::kill(child, SIGTERM);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_text(out),
            read_text(err), blocked};
  }

  /// The program must refuse: this code, one line on stderr that holds `part`, no run left in "B".
  void expect_refusal(const Words& words, int code, const std::string& part,
                      const Surroundings& around = {}) const {
    const auto result = elbo(words, around);
    EXPECT_EQ(result.code, code) << shown(words) << result.err;
    EXPECT_TRUE(contains(result.err, part)) << shown(words) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_TRUE(result.err.starts_with("elbo: ") && result.err.ends_with("\n")) << result.err;
    EXPECT_EQ(result.out, "") << shown(words);
    EXPECT_FALSE(exists("B")) << shown(words);
  }

  /// The program must succeed; its standard output.
  std::string expect_success(const Words& words) const {
    const auto result = elbo(words);
    EXPECT_EQ(result.code, 0) << shown(words) << result.err;
    return result.out;
  }

  [[nodiscard]] std::vector<json> metrics(const std::string& run) const {
    std::vector<json> lines;
    std::istringstream text(read(run + "/metrics.jsonl"));
    for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
    return lines;
  }
  [[nodiscard]] json settings(const std::string& run) const {
    return json::parse(read(run + "/model.json")).at("settings");
  }
  [[nodiscard]] size_t temporaries() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(work_))
      count += contains(entry.path().filename().string(), ".tmp") ? 1 : 0;
    return count;
  }

 private:
  static std::string shown(const Words& words) {
    std::string text;
    for (const auto& word : words) text += word + " ";
    return text + ": ";
  }

  [[noreturn]] void become(const Words& words, const Surroundings& around,
                           const std::filesystem::path& out,
                           const std::filesystem::path& err) const {
    const auto redirect = [](const std::filesystem::path& path, int to) {
      ::dup2(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), to);
    };
    redirect(out, STDOUT_FILENO);
    redirect(err, STDERR_FILENO);
    if (::chdir(work_.c_str()) != 0) ::_exit(98);
    ::setenv("ELBO_DATA", file("data").c_str(), 1);
    if (!around.tmpfs.empty() &&
        (::unshare(CLONE_NEWNS) != 0 ||
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
         ::mount("tmpfs", around.tmpfs.c_str(), "tmpfs", 0, "size=16k") != 0))
      ::_exit(kCannotMount);
    const rlimit limit{around.file_size, RLIM_INFINITY};
    if (around.file_size != RLIM_INFINITY) ::setrlimit(RLIMIT_FSIZE, &limit);
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(97);
  }

  data::testing::ScratchFolder scratch_, captured_;
  std::filesystem::path work_ = scratch_.path();
};

// Small data. Numbers come from a multiplicative hash: the same on every machine.

inline double uniform(uint64_t i) {
  i = (i + 1) * 0x9e3779b97f4a7c15ULL;
  i = (i ^ (i >> 32)) * 0xd6e8feb86659fd93ULL;
  return static_cast<double>(i >> 11) * 0x1p-53;
}

/// `rows` pictures of 8 x 8: a bright bar on a dark ground, its place and width random.
inline std::string pictures_idx(uint32_t rows) {
  std::string pixels;
  for (uint32_t i = 0; i < rows; ++i) {
    const double place = 8 * uniform(2 * i), width = 1 + 2 * uniform(2 * i + 1);
    for (int pixel = 0; pixel < 64; ++pixel)
      pixels += static_cast<char>(std::abs(pixel % 8 - place) < width ? 230 : 10 + pixel % 7);
  }
  return idx_text(0x08, {rows, 8, 8}, pixels);
}

inline std::string labels_idx(uint32_t rows) {
  std::string labels;
  for (uint32_t i = 0; i < rows; ++i) labels += static_cast<char>(i % 10);
  return idx_text(0x08, {rows}, labels);
}

/// `rows` x `columns` numbers from -1 to 1; the entry (at, 2) is `odd` where that is given.
inline std::string table_csv(int rows, int columns, int at = -1, const std::string& odd = "") {
  std::string text;
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      const double value = 2 * uniform(static_cast<uint64_t>(i * columns + j)) - 1;
      text += (i == at && j == 2 ? odd : std::to_string(value)) + (j + 1 < columns ? "," : "\n");
    }
  return text;
}

/// Rows of float64 as an .npy file.
inline std::string npy(const std::vector<double>& values, int columns) {
  std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (" +
                       std::to_string(values.size() / static_cast<size_t>(columns)) + ", " +
                       std::to_string(columns) + "), }";
  header.resize(117, ' ');
  header += '\n';
  std::string text = std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0';
  text += header;
  return text + std::string(reinterpret_cast<const char*>(values.data()), 8 * values.size());
}

/// The shape in an .npy file's header, as "(3, 4)".
inline std::string npy_shape(const std::string& bytes) {
  const auto begin = bytes.find('(');
  return begin == std::string::npos ? "" : bytes.substr(begin, bytes.find(')') - begin + 1);
}

inline bool is_png(const std::string& bytes) { return bytes.starts_with("\x89PNG\r\n\x1a\n"); }
inline bool is_svg(const std::string& bytes) {
  return bytes.starts_with("<?xml") && contains(bytes, "<svg") && bytes.ends_with("</svg>\n");
}

}  // namespace elbo::cli::testing
