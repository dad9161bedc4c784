#!/usr/bin/env bash
# Exports a collection to a real PostgreSQL with pgvector and searches there: scripts/test-postgres.sh [DIR]. DIR is a folder
# that holds a Debian with postgresql-17-pgvector; without it, this machine's own server programs are used. Says so and
# ends well where there are none. The server listens on a socket in a temporary folder and stops with the test.
set -euo pipefail
cd "$(dirname "$0")/.."

root=${1:-}
bin=$(ls -d "$root"/usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
if [ -z "$bin" ] || ! ls "$root"/usr/share/postgresql/*/extension/vector.control >/dev/null 2>&1; then
  echo "test-postgres.sh: skipped, no PostgreSQL with pgvector is here"
  exit 0
fi
in_root() { # as a user who may run a server, inside DIR where one is given
  if [ -n "$root" ]; then chroot "$root" setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
  elif [ "$(id -u)" -eq 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
  else "$@"; fi
}
bin=${bin#"$root"}
data=$(mktemp -d "$root/tmp/e5v-pg-XXXXXX")
inside=${data#"$root"}
if [ -n "$root" ]; then chroot "$root" chown postgres "$inside"; elif [ "$(id -u)" -eq 0 ]; then chown postgres "$data"; fi
trap 'in_root "$bin/pg_ctl" -D "$inside/db" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$data"' EXIT
in_root "$bin/initdb" -D "$inside/db" -U e5v --auth=trust >/dev/null
in_root "$bin/pg_ctl" -D "$inside/db" -w -l "$inside/log" -o "-c listen_addresses='' -c unix_socket_directories=$inside" start >/dev/null

uri="postgresql://e5v@/postgres?host=$data"
E5V_TEST_POSTGRES=$uri build/release/index_test --gtest_filter='*Postgres*'

# The program: what it finds in a collection it finds in the exported one, in the same order.
e5v=$(realpath "${E5V:-build/release/e5v}")
collection=$data/pictures
"$e5v" index examples/pictures --collection "$collection" --model tests/goldens/end_to_end_tiny --device cpu --quiet
"$e5v" collections export "$collection" --to "$uri" --quiet
for options in "the_sun_goes_down" "--image examples/pictures/sunset.jpg" "in_winter --image examples/pictures/sunset.jpg" \
  "a_house -k 2" "a_house --minus snow --weight 2" "a_house --min-score 0.05" "a_house --where size>5000"; do
  # shellcheck disable=SC2086
  diff <("$e5v" search --collection "$collection" $options --device cpu) \
    <("$e5v" search --collection "$uri" $options --device cpu) ||
    { echo "test-postgres.sh: '$options' finds something else in PostgreSQL" >&2 && exit 1; }
done
echo "PostgreSQL finds what the collection finds"
