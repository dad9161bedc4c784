#!/usr/bin/env bash
# Prints how many compilers to run at once: one a core, but a file that includes libtorch takes up to
# 1.5 GB, and a machine that swaps is slower than one that waits.
set -euo pipefail

available_mb=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
if [ "$limit" != max ]; then
  used=$(cat /sys/fs/cgroup/memory.current)
  left_mb=$(((limit - used) / 1048576))
  [ "$left_mb" -ge "$available_mb" ] || available_mb=$left_mb
fi
jobs=$((available_mb / 1500))
cores=$(nproc)
[ "$jobs" -le "$cores" ] || jobs=$cores
[ "$jobs" -ge 1 ] || jobs=1
echo "$jobs"
