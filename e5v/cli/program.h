#pragma once

#include <string>
#include <vector>

namespace e5v::detail {

/// What `e5v` does with its arguments: 0, 1 for a failure, 2 for a mistake in usage. Results go to
/// stdout, a failure as one line to stderr.
int run_program(int argc, char** argv);

/// What `e5v COMMAND --help` prints.
struct HelpPage {
  std::string command;  ///< "e5v", "e5v embed", "e5v eval run flickr30k" …
  std::string text;
};
std::vector<HelpPage> help_pages();

}  // namespace e5v::detail
