#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/cli/commands.h"

namespace e5v::detail {

/// Lets several structs of options share the flags of one command: a flag that more than one of
/// them declares is there once, with the help and default of the first, and sets the fields of all.
/// For a command whose arguments decide which of the structs is used.
class SharedOptions : public Command {
 public:
  explicit SharedOptions(const Command& command) : Command(command) {}

  using Command::add;
  void add(std::string_view name, bool& value, std::string_view help) override;
  void add(std::string_view name, int64_t& value, std::string_view help) override;
  void add(std::string_view name, double& value, std::string_view help) override;
  void add(std::string_view name, std::string& value, std::string_view help) override;
  void add(std::string_view name, std::filesystem::path& value, std::string_view help) override;
  void add(std::string_view name, std::vector<std::string>& value, std::string_view help) override;

  /// Gives to all what the command line gave; a flag that it does not have leaves each its own
  /// default. Called once the command line is parsed.
  void copy_given() const;

 protected:
  /// The choices of one name must be the same in all structs.
  void add_choice(std::string_view name, std::vector<std::string> choices, size_t current,
                  std::function<void(size_t)> choose, std::string_view help) override;

 private:
  using Choosers = std::vector<std::function<void(size_t)>>;

  template <class T>
  void add_shared(std::string_view name, T& value, std::string_view help);

  std::map<std::string, std::any, std::less<>> fields_;  // of each name the first field, a T*
  std::map<std::string, std::shared_ptr<Choosers>, std::less<>> choosers_;
  std::vector<std::function<void()>> copies_;
};

}  // namespace e5v::detail
