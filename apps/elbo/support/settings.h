// The settings of a training, in one table: flags, --help, config files and model.json are made
// from it.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace elbo::cli {

using Values = std::map<std::string, std::string>;

struct Setting {
  const char* name;  ///< the flag without its dashes
  const char* description;
  const char* default_value;
  const char* range;  ///< words for --help and errors
  enum class Kind { kWord, kInteger, kReal, kIntegers } kind;
  double low = 0;         ///< least value of a number
  const char* with = "";  ///< models, and kinds of learner, with which it has an effect; "": all
};

/// The table.
[[nodiscard]] const std::vector<Setting>& settings();

/// A setting of the table; ConfigError for an unknown name.
[[nodiscard]] const Setting& find_setting(const std::string& name);

/// What a preset sets; ConfigError for an unknown name.
[[nodiscard]] const Values& preset(const std::string& name);

/// Adds every setting as a flag; values given by flag land in `flags`.
void add_flags(CLI::App& command, Values& flags);

/// The "key = value" lines of a config file; ConfigError names the file and the key.
[[nodiscard]] Values read_config(const std::string& path);

/// What a model sets in place of the table's defaults.
[[nodiscard]] const Values& model_defaults(const std::string& model);

/// Flag over config file over preset over the model's default over the table's. Every setting has a
/// value, checked against its range; ConfigError names the flag.
class Settings {
 public:
  Settings(const Values& flags, const Values& config);
  explicit Settings(const nlohmann::json& saved);

  [[nodiscard]] const std::string& word(const std::string& name) const;
  [[nodiscard]] int64_t integer(const std::string& name) const;
  [[nodiscard]] double real(const std::string& name) const;
  [[nodiscard]] std::vector<int64_t> integers(const std::string& name) const;
  void set(const std::string& name, const std::string& value);
  /// "em", "closed-form", or "gradient" for all others.
  [[nodiscard]] std::string kind_of_learner() const;
  /// Throws ConfigError where a value is given that has no effect on the model as it is learnt.
  void check_effect(const Values& given) const;
  [[nodiscard]] const Values& values() const { return values_; }
  [[nodiscard]] nlohmann::json to_json() const;

 private:
  Values values_;
};

}  // namespace elbo::cli
