#!/usr/bin/env bash
# The OpenAPI document of `e5v serve`: valid by openapi-spec-validator; every example answered, and every answer valid by its
# schema; then a client that openapi-python-client generates calls each address. Needs python3 with venv, and the network for
# the two packages from PyPI; says so and ends well where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

e5v=$(realpath "${E5V:-build/release/e5v}")
work=build/openapi
mkdir -p "$work"
if [ ! -e "$work/venv/ready" ]; then
  rm -rf "$work/venv"
  if ! python3 -m venv "$work/venv" ||
    ! "$work/venv/bin/pip" install --quiet openapi-spec-validator==0.9.0 openapi-python-client==0.29.1; then
    echo "test-openapi.sh: skipped, python3's venv or the packages are not here"
    exit 0
  fi
  touch "$work/venv/ready"
fi

rm -rf "$work/collection" "$work/started.json" "$work/client"
"$e5v" index examples/pictures --collection "$work/collection" --model tests/goldens/end_to_end_tiny --quiet
"$e5v" serve --collection "$work/collection" --device cpu --port 0 --api-key secret --json \
  >"$work/started.json" 2>"$work/server.log" &
server=$!
trap 'kill $server && wait $server || true' EXIT
port=
for _ in $(seq 400); do
  port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' "$work/started.json")
  [ -n "$port" ] && curl -sf "http://127.0.0.1:$port/health" >/dev/null && break
  sleep 0.1
done
curl -sf "http://127.0.0.1:$port/openapi.json" >"$work/openapi.json"
# Pictures are bytes to it, and its own tidying up would need another package.
printf 'post_hooks: []\ncontent_type_overrides:\n  image/*: application/octet-stream\n' >"$work/generator.yaml"
"$work/venv/bin/openapi-python-client" generate --path "$work/openapi.json" --output-path "$work/client" --meta none \
  --config "$work/generator.yaml" --overwrite --fail-on-warning
PYTHONPATH="$work" "$work/venv/bin/python" scripts/test-openapi.py "$port" "$work/openapi.json"
