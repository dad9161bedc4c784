#!/usr/bin/env bash
# The official openai client from npm against `e5v serve`: text as float and as base64, many items, errors; then requests in
# the shapes of Jina, vLLM, Cohere, Voyage and Infinity. Needs node and npm, and the network for the client's package; says so and ends well where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

e5v=$(realpath "${E5V:-build/release/e5v}")
work=build/clients
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "test-clients.sh: skipped, node and npm are not here"
  exit 0
fi
mkdir -p "$work"
[ -e "$work/node_modules/openai" ] || npm install --prefix "$work" --silent --no-audit --no-fund openai@4

rm -f "$work/started.json"
"$e5v" serve --model tests/goldens/end_to_end_tiny --device cpu --port 0 --api-key secret --json \
  >"$work/started.json" 2>"$work/server.log" &
server=$!
trap 'kill $server && wait $server || true' EXIT
port=
for _ in $(seq 400); do
  port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' "$work/started.json")
  [ -n "$port" ] && curl -sf "http://127.0.0.1:$port/health" >/dev/null && break
  sleep 0.1
done

picture=$PWD/examples/pictures/sunset.jpg
cp scripts/test-clients.mjs "$work/"
(cd "$work" && node test-clients.mjs "$port" "$picture")
