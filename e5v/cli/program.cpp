#include "e5v/cli/program.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/suggest.h"

namespace e5v::detail {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

int complain(std::string_view message, int status) {
  // One line on stderr, whatever a foreign library put into its message.
  const std::string_view line = message.substr(0, message.find('\n'));
  std::fprintf(stderr, "e5v: %s\n", printable(line, 4096).c_str());
  return status;
}

/// The command that the arguments name, with the commands below it: the program itself first.
std::vector<const CLI::App*> commands_of(const CLI::App& app, int argc, char** argv) {
  std::vector<const CLI::App*> path = {&app};
  for (int i = 1; i < argc; ++i) {
    const std::vector<const CLI::App*> below = path.back()->get_subcommands({});
    const auto named = std::find_if(below.begin(), below.end(), [&](const CLI::App* command) {
      return command->check_name(argv[i]);
    });
    if (named == below.end()) break;
    path.push_back(*named);
  }
  return path;
}

int complain_of_usage(const CLI::App& app, int argc, char** argv, const CLI::ParseError& error) {
  const std::vector<const CLI::App*> path = commands_of(app, argc, argv);
  const CLI::App& command = *path.back();
  const bool is_command = path.size() > 1;
  std::string message = error.what();
  std::optional<std::string> meant;
  if (!is_command && argc > 1) {
    const bool is_flag = argv[1][0] == '-';
    message = fmt::format("unknown {} '{}'", is_flag ? "option" : "command", argv[1]);
    std::vector<std::string> names;
    for (const CLI::App* known : app.get_subcommands({})) names.push_back(known->get_name());
    meant = nearest(argv[1], names);
  } else if (!is_command) {
    message = "no command was given";
  } else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    std::vector<std::string> flags;
    for (const CLI::Option* option : command.get_options()) {
      for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    }
    for (int i = static_cast<int>(path.size()); i < argc && !meant; ++i) {
      const std::string given = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
      const bool known = std::find(flags.begin(), flags.end(), given) != flags.end();
      if (!known && given.starts_with("--")) {
        message = fmt::format("unknown option '{}'", given);
        meant = nearest(given, flags);
      }
    }
  }
  if (meant) message += fmt::format("; did you mean '{}'?", *meant);
  std::string name;
  for (size_t i = 1; i < path.size(); ++i) name += " " + path[i]->get_name();
  return complain(fmt::format("{} (see: e5v{} --help)", message, name), kUsage);
}

void register_commands(CLI::App& app, CommandContext& context) {
  app.set_version_flag("--version", "e5v " E5V_VERSION, "Print the version and exit");
  app.require_subcommand(1);
  app.footer("e5v COMMAND --help shows a command's options and examples.\n");
#define E5V_REGISTER_COMMAND(name) register_##name(app, context);
  E5V_COMMANDS(E5V_REGISTER_COMMAND)
#undef E5V_REGISTER_COMMAND
}

constexpr const char* kDescription =
    "E5-V: one embedding space for texts, images and both together";

int run(int argc, char** argv) {
  CLI::App app(kDescription, "e5v");
  CommandContext context;
  register_commands(app, context);
  try {
    app.parse(argc, argv);  // runs the command's callback
  } catch (const CLI::Success& asked) {
    app.exit(asked);  // prints the help or version
  } catch (const CLI::ParseError& error) {
    return complain_of_usage(app, argc, argv, error);
  }
  if (std::fflush(stdout) != 0) {
    throw FileError("standard output", "cannot write", system_reason(errno));
  }
  return kOk;
}

/// Adds the pages of `command` and of all below it; `above` is how the user gets there.
void add_pages(const CLI::App& command, const std::string& above, std::vector<HelpPage>& pages) {
  const std::string name = above.empty() ? command.get_name() : above + " " + command.get_name();
  pages.push_back({name, command.help(above)});
  for (const CLI::App* below : command.get_subcommands({})) {
    add_pages(*below, name, pages);
  }
}

}  // namespace

int run_program(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const ConfigError& error) {
    return complain(error.what(), kUsage);
  } catch (const Error& error) {
    return complain(error.what(), kFailed);
  } catch (const std::bad_alloc&) {
    return complain("out of memory", kFailed);
  } catch (const std::exception& error) {
    return complain(fmt::format("unexpected error: {}", error.what()), kFailed);
  }
}

std::vector<HelpPage> help_pages() {
  CLI::App app(kDescription, "e5v");
  CommandContext context;
  register_commands(app, context);
  std::vector<HelpPage> pages;
  add_pages(app, "", pages);
  return pages;
}

}  // namespace e5v::detail
