#!/usr/bin/env bash
# How long a build from nothing takes: benchmarks/build/run.sh [REVISION...], the working revision where none is said.
# Each is checked out into build/build-bench, built without ccache on all cores, first the program, then everything else;
# prints a row of a table for each: minutes on the clock and minutes of processor time. Other work on the machine counts in
# both, so compare revisions of one run only.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$PWD/build/build-bench
jobs=$(scripts/jobs.sh)
export CCACHE_DISABLE=1 TIMEFORMAT='%R %U %S'

# minutes COMMAND...: "clock processor", of a command that is silent unless it fails
minutes() {
  local times
  times=$({ time "$@" >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; return 1; }; } 2>&1)
  awk '{printf "%.1f %.1f", $1 / 60, ($2 + $3) / 60}' <<<"$times"
}

echo "| revision | program: clock | processor | all: clock | processor |"
echo "|---|--:|--:|--:|--:|"
for revision in "${@:-HEAD}"; do
  tree=$work/$(git rev-parse --short "$revision")
  rm -rf "$tree"
  mkdir -p "$work"
  git worktree add --quiet --detach --force "$tree" "$revision"
  cmake -S "$tree" -B "$tree/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG" >/dev/null
  read -r program program_cpu <<<"$(minutes cmake --build "$tree/build" --parallel "$jobs" --target e5v)"
  read -r rest rest_cpu <<<"$(minutes cmake --build "$tree/build" --parallel "$jobs")"
  awk -v r="$(basename "$tree")" -v p="$program" -v pc="$program_cpu" -v a="$rest" -v ac="$rest_cpu" \
    'BEGIN {printf "| %s | %.1f | %.1f | %.1f | %.1f |\n", r, p, pc, p + a, pc + ac}'
  git worktree remove --force "$tree"
done
