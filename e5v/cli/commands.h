#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/base/log.h"
#include "e5v/base/options.h"

namespace CLI {
class App;
}

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

/// A command: its options, its arguments, its work. Over CLI11, which only commands.cpp and those
/// who take a command apart include: it costs the compiler seconds a file. What is given must
/// outlive the parse.
class Command : public OptionRegistry {
 public:
  explicit Command(CLI::App& app) : app_(&app) {}

  // Flags: `name` is the long one without dashes, or all forms as "-k,--results".
  using OptionRegistry::add;
  void add(std::string_view name, bool& value, std::string_view help) override;
  void add(std::string_view name, int64_t& value, std::string_view help) override;
  void add(std::string_view name, double& value, std::string_view help) override;
  void add(std::string_view name, std::string& value, std::string_view help) override;
  void add(std::string_view name, std::filesystem::path& value, std::string_view help) override;
  void add(std::string_view name, std::vector<std::string>& value, std::string_view help) override;
  /// A text that is one of `choices`; `help` names them.
  void add(std::string_view name, std::string& value, const std::vector<std::string>& choices,
           std::string_view help);

  /// A number that need not be there; `help` says what holds then.
  void add(std::string_view name, std::optional<int64_t>& value, std::string_view help);

  /// The flag must be given.
  void require(std::string_view name);
  template <class T>
  void add_required(std::string_view name, T& value, std::string_view help) {
    add(name, value, help);
    require(name);
  }

  /// What stands without a flag, in the order of these calls.
  void add_argument(const std::string& name, std::string& value, std::string_view help);
  void add_argument(const std::string& name, std::filesystem::path& value, std::string_view help);
  /// One of `choices`.
  void add_argument(const std::string& name, std::string& value,
                    const std::vector<std::string>& choices, std::string_view help);
  /// All that is left.
  void add_argument(const std::string& name, std::vector<std::string>& values,
                    std::string_view help);
  void add_argument(const std::string& name, std::vector<std::filesystem::path>& values,
                    std::string_view help);
  /// The argument must be given.
  void require_argument(const std::string& name);

  /// A command below this one, with the flags that all have; one of those must then be given.
  Command add_command_below(const std::string& name, const std::string& description);

  /// The work; it throws e5v::Error.
  void set_callback(std::function<void()> work);

  /// Was the flag given on the command line? Also as --no-NAME. False for one that there is not.
  bool was_given(std::string_view name) const;

  CLI::App& app() const { return *app_; }

 protected:
  void add_choice(std::string_view name, std::vector<std::string> choices, size_t current,
                  std::function<void(size_t)> choose, std::string_view help) override;

 private:
  CLI::App* app_;
};

/// Makes the command `name` with its --quiet and --json. `examples` are whole command lines, shown
/// below the help; lines begin without indentation.
Command add_command(CLI::App& app, CommandContext& context, const std::string& name,
                    const std::string& description, const std::string& examples);

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
