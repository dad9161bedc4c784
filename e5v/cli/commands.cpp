#include "e5v/cli/commands.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

std::string flag(std::string_view name) {
  return name.starts_with('-') ? std::string(name) : fmt::format("--{}", name);
}

template <class T>
void add_option(CLI::App& command, std::string_view name, T& value, std::string_view help) {
  command.add_option(flag(name), value, std::string(help))->capture_default_str();
}

/// Refuses what is none of `choices`, in the words of all our choices.
CLI::Validator one_of(std::vector<std::string> choices) {
  const auto check = [choices = std::move(choices)](const std::string& given) -> std::string {
    if (std::find(choices.begin(), choices.end(), given) != choices.end()) return "";
    return fmt::format("'{}' is none of {}", printable(given), fmt::join(choices, ", "));
  };
  return CLI::Validator(check, "");
}

template <class T>
void add_positional(CLI::App& command, const std::string& name, T& value, std::string_view help) {
  command.add_option(name, value, std::string(help));
}

}  // namespace

void CommandContext::print(std::string_view text) const {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
      std::fputc('\n', stdout) == EOF) {
    throw FileError("standard output", "cannot write", system_reason(errno));
  }
}

void CommandContext::print_json(const Json& document) const {
  print(document.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Logger& CommandContext::log() const {
  if (!log_) log_ = make_stderr_logger(quiet);
  return *log_;
}

Command add_command(CLI::App& app, CommandContext& context, const std::string& name,
                    const std::string& description, const std::string& examples) {
  CLI::App* command = app.add_subcommand(name, description);
  command->add_flag("-q,--quiet", context.quiet, "No progress, no messages below warnings");
  command->add_flag("--json", context.json, "Results as JSON");
  std::string footer = "Examples:\n";
  for (size_t at = 0; at < examples.size();) {
    const size_t end = std::min(examples.find('\n', at), examples.size());
    footer += "  " + examples.substr(at, end - at) + "\n";
    at = end + 1;
  }
  command->footer(footer);
  return Command(*command);
}

void Command::add(std::string_view name, bool& value, std::string_view help) {
  if (!value) {
    app_->add_flag(flag(name), value, std::string(help));
    return;
  }
  app_->add_flag_callback(
      fmt::format("--no-{}", name), [&value] { value = false; },
      fmt::format("Turn off what is on by default: {}", help));
}

void Command::add(std::string_view name, int64_t& value, std::string_view help) {
  add_option(*app_, name, value, help);
}

void Command::add(std::string_view name, double& value, std::string_view help) {
  add_option(*app_, name, value, help);
}

void Command::add(std::string_view name, std::string& value, std::string_view help) {
  add_option(*app_, name, value, help);
}

void Command::add(std::string_view name, std::filesystem::path& value, std::string_view help) {
  add_option(*app_, name, value, help);
}

void Command::add(std::string_view name, std::vector<std::string>& value, std::string_view help) {
  // One value each time the flag is given: it must not swallow positional arguments after it.
  app_->add_option(flag(name), value, std::string(help))->allow_extra_args(false);
}

void Command::add(std::string_view name, std::string& value,
                  const std::vector<std::string>& choices, std::string_view help) {
  app_->add_option(flag(name), value, std::string(help))
      ->check(one_of(choices))
      ->capture_default_str();
}

void Command::add(std::string_view name, std::optional<int64_t>& value, std::string_view help) {
  app_->add_option(flag(name), value, std::string(help));
}

void Command::require(std::string_view name) { app_->get_option(flag(name))->required(); }

void Command::add_argument(const std::string& name, std::string& value, std::string_view help) {
  add_positional(*app_, name, value, help);
}

void Command::add_argument(const std::string& name, std::filesystem::path& value,
                           std::string_view help) {
  add_positional(*app_, name, value, help);
}

void Command::add_argument(const std::string& name, std::string& value,
                           const std::vector<std::string>& choices, std::string_view help) {
  app_->add_option(name, value, std::string(help))->check(one_of(choices));
}

void Command::add_argument(const std::string& name, std::vector<std::string>& values,
                           std::string_view help) {
  add_positional(*app_, name, values, help);
}

void Command::add_argument(const std::string& name, std::vector<std::filesystem::path>& values,
                           std::string_view help) {
  add_positional(*app_, name, values, help);
}

void Command::require_argument(const std::string& name) { app_->get_option(name)->required(); }

Command Command::add_command_below(const std::string& name, const std::string& description) {
  app_->require_subcommand(1);
  CLI::App* const below = app_->add_subcommand(name, description);
  below->fallthrough();  // --quiet and --json may stand behind it
  return Command(*below);
}

void Command::set_callback(std::function<void()> work) { app_->callback(std::move(work)); }

bool Command::was_given(std::string_view name) const {
  // The flag of a field that is on by default turns it off.
  for (const std::string& one : {fmt::format("--{}", name), fmt::format("--no-{}", name)}) {
    const CLI::Option* const option = app_->get_option_no_throw(one);
    if (option != nullptr && option->count() > 0) return true;
  }
  return false;
}

void Command::add_choice(std::string_view name, std::vector<std::string> choices, size_t current,
                         std::function<void(size_t)> choose, std::string_view help) {
  const std::string description =
      fmt::format("{}: {} [{}]", help, fmt::join(choices, ", "), choices[current]);
  const auto choose_by_name = [choices, choose = std::move(choose)](const std::string& given) {
    const auto found = std::find(choices.begin(), choices.end(), given);
    if (found == choices.end()) {
      throw CLI::ValidationError(
          fmt::format("'{}' is none of {}", printable(given), fmt::join(choices, ", ")));
    }
    choose(static_cast<size_t>(found - choices.begin()));
  };
  app_->add_option_function<std::string>(flag(name), choose_by_name, description);
}

}  // namespace e5v::detail
