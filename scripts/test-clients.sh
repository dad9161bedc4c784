#!/usr/bin/env bash
# The official openai client from npm against `e5v serve`: text as float and as base64, many items, errors. Needs node and
# npm, and the network for the client's package; says so and ends well where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

e5v=build/release/e5v
work=build/clients
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "test-clients.sh: skipped, node and npm are not here"
  exit 0
fi
mkdir -p "$work"
[ -e "$work/node_modules/openai" ] || npm install --prefix "$work" --silent --no-audit --no-fund openai@4

"$e5v" serve --model tests/goldens/end_to_end_tiny --device cpu --port 0 --api-key secret --json >"$work/started.json" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  [ -s "$work/started.json" ] && break
  sleep 0.1
done
port=$(sed 's/.*"port":\([0-9]*\).*/\1/' "$work/started.json")
for _ in $(seq 300); do
  curl -sf "http://127.0.0.1:$port/health" >/dev/null && break
  sleep 0.1
done

cp scripts/test-clients.mjs "$work/"
(cd "$work" && node test-clients.mjs "$port")
