// The program `e5v`. Its work lies in libe5v.so, which brings libtorch: more than a second to load.
// What needs neither, version and help, is answered from what the build wrote down.

#include <dlfcn.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "help_pages.h"

namespace {

constexpr int kFailed = 1;

/// What `e5v COMMAND… --help` and `e5v --version` print; nullopt for all other arguments.
std::optional<std::string_view> find_page(int argc, char** argv) {
  if (argc < 2) return std::nullopt;
  const std::string_view last = argv[argc - 1];
  if (argc == 2 && last == "--version") return "e5v " E5V_VERSION "\n";
  if (last != "--help" && last != "-h") return std::nullopt;
  std::string command = "e5v";
  for (int i = 1; i + 1 < argc; ++i) command += std::string(" ") + argv[i];
  for (const HelpPage& page : kHelpPages) {
    if (command == page.command) return page.text;
  }
  return std::nullopt;
}

/// OpenMP's threads wait for each other in a loop, libgomp's for about 15 ms before they sleep: on
/// a machine with other work that takes more time than training itself. libgomp reads its settings
/// when it is loaded: 2000 rounds, 0.1 ms, if nobody set another wait.
void shorten_waits() {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) ::setenv("GOMP_SPINCOUNT", "2000", 0);
}

int fail(const std::string& message) {
  std::fprintf(stderr, "e5v: %s\n", message.c_str());
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  // Whoever reads our output may stop early (`e5v … | head`): then end quietly, even where the
  // parent process had the signal ignored.
  std::signal(SIGPIPE, SIG_DFL);
  if (const auto page = find_page(argc, argv)) {
    std::fwrite(page->data(), 1, page->size(), stdout);
    if (std::fflush(stdout) == 0) return 0;
    return fail(std::string("standard output: cannot write: ") + std::strerror(errno));
  }
  if (argc > 1 && std::string_view(argv[1]).starts_with("train")) shorten_waits();
  void* const library = ::dlopen(E5V_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return fail(::dlerror());
  const auto run = reinterpret_cast<int (*)(int, char**)>(::dlsym(library, "e5v_run"));
  return run == nullptr ? fail(::dlerror()) : run(argc, argv);
}
