#!/usr/bin/env bash
# The library as others get it: installs what is built into build/installed, builds examples/cpp
# against it as a project of its own (find_package; one by pkg-config, too), and runs all three with
# the model that was installed. Also: nothing but e5v's public names leaves libe5v.so.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=$PWD/build/installed
examples=$PWD/build/examples
rm -rf "$prefix" "$examples"
cmake --install build/release --prefix "$prefix" >/dev/null
unset E5V_MODEL
export LD_LIBRARY_PATH=$prefix/lib

echo "--- what leaves libe5v.so"
leaked=$(nm -D --defined-only "$prefix/lib/libe5v.so" | c++filt |
  grep -vE ' (e5v_run|(typeinfo (name )?for |vtable for )?e5v::[A-Z][A-Za-z]*(::.*)?|e5v::(train|version)\(.*)$' || true)
leaked+=$(nm -D --defined-only "$prefix/lib/libe5v.so" | c++filt | grep 'e5v::detail' || true)
if [ -n "$leaked" ]; then
  echo "not of the API: $leaked" >&2
  exit 1
fi

echo "--- examples by find_package"
cmake -G Ninja -S examples/cpp -B "$examples" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" >/dev/null
cmake --build "$examples" >/dev/null
echo "--- one by pkg-config"
# shellcheck disable=SC2046  # several words
g++ -std=c++20 examples/cpp/embed.cpp -o "$examples/embed-by-pkg-config" \
  $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs e5v)

echo "--- they run, with the installed model"
"$prefix/bin/e5v" shapes --quiet --split test --scenes 40 --parts composed --output "$examples/shapes"
pictures=$examples/shapes/composed/test
for embed in embed embed-by-pkg-config; do
  "$examples/$embed" "a red square" "$pictures"/test-1-img0.png "$pictures"/test-2-img0.png
done
"$examples/search_folder" "$pictures" "a red square"
printf 'sent0,sent1,hard_neg\n%s\n%s\n%s\n%s\n' \
  'a red square,a square that is red,a blue square' 'two discs,a pair of discs,two stars' \
  'a large star,a star that is large,a small star' 'a disc above,above is a disc,a disc below' \
  >"$examples/triplets.csv"
"$examples/train_csv" "$examples/triplets.csv" "$examples/run"
echo "--- a mistake is one line"
if "$examples/embed" "a red square" missing.png 2>"$examples/error.txt"; then exit 1; fi
grep -qx 'embed: .*missing.png.*' "$examples/error.txt"

echo "--- inside another project: add_subdirectory"
mkdir -p "$examples/inside"
cat >"$examples/inside/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.24)
project(inside LANGUAGES CXX)
add_subdirectory($PWD e5v)
add_executable(embed $PWD/examples/cpp/embed.cpp)
target_link_libraries(embed PRIVATE e5v::e5v)
CMAKE
cmake -G Ninja -S "$examples/inside" -B "$examples/inside/build" >/dev/null
echo "the library installs, and is found, built against and run"
