#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "e5v/base/json.h"
#include "e5v/base/log.h"
#include "e5v/base/options.h"

namespace e5v::detail {

/// What every command is given. Results go to stdout through `print`; log and progress to stderr.
struct CommandContext {
  /// --quiet: no progress and no messages below warnings.
  bool quiet = false;
  /// --json: results on stdout as JSON, one document or one line an item.
  bool json = false;

  /// Writes `text` and a line end to stdout. Throws FileError where that fails, e.g. a full disk.
  void print(std::string_view text) const;
  /// `document` on one line, with U+FFFD for bytes that are not UTF-8.
  void print_json(const Json& document) const;
  /// The command's log, made on first use, when --quiet is known.
  Logger& log() const;

 private:
  mutable std::shared_ptr<Logger> log_;
};

/// Makes the command `name` with its --quiet and --json. `examples` are whole command lines, shown
/// below the help; lines begin without indentation. The command's work is its `callback`.
CLI::App* add_command(CLI::App& app, CommandContext& context, const std::string& name,
                      const std::string& description, const std::string& examples);

/// Declares options as CLI11 flags of `command`; both must outlive the parse.
class CliOptionRegistry : public OptionRegistry {
 public:
  explicit CliOptionRegistry(CLI::App& command) : command_(command) {}

  using OptionRegistry::add;
  void add(std::string_view name, bool& value, std::string_view help) override;
  void add(std::string_view name, int64_t& value, std::string_view help) override;
  void add(std::string_view name, double& value, std::string_view help) override;
  void add(std::string_view name, std::string& value, std::string_view help) override;
  void add(std::string_view name, std::filesystem::path& value, std::string_view help) override;
  void add(std::string_view name, std::vector<std::string>& value, std::string_view help) override;

 protected:
  void add_choice(std::string_view name, std::vector<std::string> choices, size_t current,
                  std::function<void(size_t)> choose, std::string_view help) override;

 private:
  CLI::App& command_;
};

/// The commands, in the order of the help. Each X(name) is one file e5v/cli/<name>.cpp that defines
/// `void register_<name>(CLI::App& app, CommandContext& context)`: a struct of options with
/// defaults, one add_command, and a callback that does the work and throws e5v::Error.
#define E5V_COMMANDS(X) \
  X(embed)              \
  X(similarity)         \
  X(index)              \
  X(search)             \
  X(collections)        \
  X(serve)              \
  X(tokenize)           \
  X(preprocess)         \
  X(train)              \
  X(train_phi)          \
  X(merge)              \
  X(quantize)           \
  X(eval)               \
  X(words)              \
  X(data)               \
  X(shapes)             \
  X(inspect)            \
  X(bench)              \
  X(random_model)       \
  X(import_gguf)        \
  X(pull)

#define E5V_DECLARE_COMMAND(name) void register_##name(CLI::App& app, CommandContext& context);
E5V_COMMANDS(E5V_DECLARE_COMMAND)
#undef E5V_DECLARE_COMMAND

}  // namespace e5v::detail
