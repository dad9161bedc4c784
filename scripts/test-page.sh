#!/usr/bin/env bash
# The page of `e5v serve` in headless Chromium: types, drops a picture, composes, clicks a result, and takes screenshots into
# build/page/ (light, dark, a phone's width, empty, error). Needs node, npm, chromium, and the network for puppeteer-core;
# says so and ends well where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

e5v=$(realpath "${E5V:-build/release/e5v}")
work=build/page
chromium=$(command -v chromium || true)
if ! command -v node >/dev/null || ! command -v npm >/dev/null || [ -z "$chromium" ]; then
  echo "test-page.sh: skipped, node, npm or chromium is not here"
  exit 0
fi
mkdir -p "$work"
[ -e "$work/node_modules/puppeteer-core" ] ||
  npm install --prefix "$work" --silent --no-audit --no-fund puppeteer-core@23

rm -rf "$work/collection"
"$e5v" index examples/pictures --collection "$work/collection" --model tests/goldens/end_to_end_tiny --quiet
# One that anyone may ask, one that wants a key.
servers=()
trap 'for server in "${servers[@]}"; do kill "$server" && wait "$server" || true; done' EXIT
serve() { # NAME OPTIONS...: sets port
  rm -f "$work/$1.json"
  "$e5v" serve --collection "$work/collection" --device cpu --port 0 --json "${@:2}" >"$work/$1.json" 2>"$work/$1.log" &
  servers+=($!)
  for _ in $(seq 400); do
    port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' "$work/$1.json")
    [ -n "$port" ] && curl -sf "http://127.0.0.1:$port/health" >/dev/null && return
    sleep 0.1
  done
  echo "test-page.sh: the server did not start; see $work/$1.log" >&2
  exit 1
}
serve with-key --api-key secret
port_with_key=$port
serve open

cp scripts/test-page.mjs "$work/"
picture=$PWD/examples/pictures/flower.jpg
(cd "$work" && node test-page.mjs "$port" "$port_with_key" "$chromium" "$picture")
