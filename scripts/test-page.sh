#!/usr/bin/env bash
# The page of `e5v serve` in headless Chromium: types, drops a picture, composes, clicks a result, and takes screenshots into
# build/page/ (light, dark, a phone's width, empty, error). Needs node, npm, chromium, and the network for puppeteer-core;
# says so and ends well where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

e5v=build/release/e5v
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
"$e5v" serve --collection "$work/collection" --device cpu --port 0 --json >"$work/started.json" &
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

cp scripts/test-page.mjs "$work/"
picture=$PWD/examples/pictures/$(ls examples/pictures | head -1)
(cd "$work" && node test-page.mjs "$port" "$chromium" "$picture")
