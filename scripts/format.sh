#!/usr/bin/env bash
# Formats every C++ file of the project; with --check only says which would change (exit status 1).
# Other versions of clang-format break lines elsewhere, so only Debian 12's (14) is asked.
set -euo pipefail
cd "$(dirname "$0")/.."

clang_format=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$clang_format" ] || ! "$clang_format" --version | grep -q 'version 14\.'; then
  echo "format.sh: clang-format 14 is not here, formatting is left alone"
  exit 0
fi
mode=(-i)
[ "${1:-}" != --check ] || mode=(--dry-run -Werror)
git ls-files -z '*.cpp' '*.h' | xargs -0 "$clang_format" "${mode[@]}"
