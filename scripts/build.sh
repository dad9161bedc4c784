#!/usr/bin/env bash
# Builds e5v into build/release (the program is build/release/e5v), after installing the packages
# that are missing. Other targets as arguments: scripts/build.sh all
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-packages.sh
# Debian 12's compiler is the one that every change is checked with; a newer one may warn of more.
werror=OFF
[ "$(g++ -dumpversion)" != 12 ] || werror=ON
cmake --preset release -DE5V_WERROR=$werror
[ $# -gt 0 ] || set -- e5v
cmake --build --preset release --parallel "$(scripts/jobs.sh)" --target "$@"
