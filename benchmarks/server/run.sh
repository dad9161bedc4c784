#!/usr/bin/env bash
# Measures `e5v serve` with clients on the same machine: benchmarks/server/run.sh [MODE...]; throughput, search, fairness
# where nothing is said; also: soak. Prints one JSON object a mode, and beside throughput what `e5v embed` needs for the
# same texts in one file, without loading. Environment:
#   MODEL    a checkpoint folder; else the preset `tiny` with random weights is made
#   TEXTS    how many short texts (20000)
#   SECONDS_OF_SOAK (600), QUEUE: the server's --max-queue during the soak (32), THREADS: the server's (all)
set -euo pipefail
cd "$(dirname "$0")/../.."

e5v=$(realpath "${E5V:-build/release/e5v}")
load=build/release/server_load
work=build/server-bench
model=${MODEL:-$work/tiny}
num_texts=${TEXTS:-20000}
modes=("$@")
[ ${#modes[@]} -gt 0 ] || modes=(throughput search fairness)
mkdir -p "$work"
[ -e "$model/config.json" ] || "$e5v" random-model --preset tiny --seed 1 --output "$model" --quiet

awk -v n="$num_texts" 'BEGIN {
  split("red blue old small wooden bright wet quiet broken heavy", adjective)
  split("dog bicycle kettle lighthouse violin tractor pigeon umbrella clock bridge", noun)
  split("on the grass|beside a river|in the snow|under a table|at night|behind a fence|in the rain", place, "|")
  for (i = 0; i < n; ++i)
    print "A " adjective[i % 10 + 1] " " noun[int(i / 10) % 10 + 1] " " place[int(i / 100) % 7 + 1] ", number " i "."
}' >"$work/texts.txt"

now() { date +%s.%N; }
embed() { # LINES: seconds
  local begin
  begin=$(now)
  head -n "$1" "$work/texts.txt" |
    "$e5v" embed --model "$model" --device cpu --input - --output "$work/texts.npy" --threads "${THREADS:-0}" --quiet
  echo "$(now) $begin" | awk '{ print $1 - $2 }'
}
server=
stop() {
  [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
  server=
}
trap stop EXIT
serve() { # OPTIONS...
  stop
  rm -f "$work/started.json"
  "$e5v" serve --model "$model" --device cpu --threads "${THREADS:-0}" --port 0 --json --quiet "$@" >"$work/started.json" &
  server=$!
  port=
  for _ in $(seq 600); do
    port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' "$work/started.json")
    [ -n "$port" ] && curl -sf "http://127.0.0.1:$port/health" >/dev/null && return
    sleep 0.1
  done
  echo "run.sh: the server did not start" >&2
  exit 1
}
ask() { "$load" --port "$port" "$1" --texts "$work/texts.txt" "${@:2}"; }

for mode in "${modes[@]}"; do
  case $mode in
    throughput)
      one=$(embed 1)
      all=$(embed "$num_texts")
      awk -v n="$num_texts" -v one="$one" -v all="$all" \
        'BEGIN { printf "{\"mode\":\"embed\",\"texts\":%d,\"seconds\":%.3f,\"per_second\":%.1f}\n", n, all - one, (n - 1) / (all - one) }'
      serve
      ask throughput --vectors "$work/texts.npy"
      ;;
    search)
      rm -rf "$work/collection"
      "$e5v" index examples/pictures --collection "$work/collection" --model "$model" --device cpu --quiet
      serve --collection "$work/collection"
      { printf '{"documents":['; awk 'NR <= 1000 { printf "%s{\"id\":\"%d\",\"text\":\"%s\"}", (NR > 1 ? "," : ""), NR, $0 }' "$work/texts.txt"; printf ']}'; } |
        curl -sf "http://127.0.0.1:$port/v1/index" -H 'Content-Type: application/json' -d @- >/dev/null
      ask search
      ;;
    fairness)
      serve
      ask fairness
      ;;
    soak)
      embed "$num_texts" >/dev/null
      serve --max-queue "${QUEUE:-32}"
      ask soak --vectors "$work/texts.npy" --clients 64 --seconds "${SECONDS_OF_SOAK:-600}" --pid "$server"
      ;;
    *)
      echo "run.sh: '$mode' is not known, expected throughput, search, fairness or soak" >&2
      exit 2
      ;;
  esac
done
