#!/usr/bin/env bash
# Shows that a Debian 12 with nothing but git and bash is enough: the demo, then all tests, in a
# folder of its own: scripts/test-fresh-chroot.sh [DIR]. To start from nothing again, remove DIR.
set -euo pipefail
exec "$(dirname "$0")/in-chroot.sh" bookworm "${1:-/var/tmp/e5v-bookworm}" scripts/demo.sh \
  scripts/test.sh
