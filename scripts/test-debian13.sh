#!/usr/bin/env bash
# Builds e5v and runs its tests with Debian 13's packages (libtorch 2.6, oneDNN 3), in a folder of its
# own: scripts/test-debian13.sh [DIR]
set -euo pipefail
exec "$(dirname "$0")/in-chroot.sh" trixie "${1:-/var/tmp/e5v-trixie}" scripts/test.sh
