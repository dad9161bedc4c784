// Writes the help of all commands as a table in C++, for the launcher: write_help FILE.

#include <cstdio>
#include <exception>

#include "e5v/base/file.h"
#include "e5v/cli/program.h"

int main(int argc, char** argv) {
  try {
    std::string table =
        "struct HelpPage {\n  const char* command;\n  const char* text;\n};\n"
        "constexpr HelpPage kHelpPages[] = {\n";
    for (const auto& page : e5v::detail::help_pages()) {
      table += "    {\"" + page.command + "\", R\"~~~(" + page.text + ")~~~\"},\n";
    }
    e5v::detail::write_file(argc == 2 ? argv[1] : "", table + "};\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_help: %s\n", error.what());
    return 1;
  }
}
