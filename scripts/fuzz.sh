#!/usr/bin/env bash
# Builds the fuzz targets and runs each for a while: scripts/fuzz.sh [SECONDS] [TARGET...]; 60 seconds, and all of them,
# where nothing is said. Needs clang, its runtime (libclang-rt-*-dev) and libomp-dev; says so and ends well without.
# Corpora stay in build/fuzz/corpus from run to run; an input that fails is left in build/fuzz/ and printed, and the
# script fails. To see one again: build/fuzz/fuzz_TARGET FILE.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(requests filter image)
if ! command -v clang++ >/dev/null ||
  ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer,address -fopenmp -x c++ - -o /dev/null 2>/dev/null; then
  echo "fuzz.sh: skipped, clang++ with libFuzzer and OpenMP is not here (clang, libclang-rt-*-dev, libomp-dev)"
  exit 0
fi
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --parallel "$(scripts/jobs.sh)" --target "${targets[@]/#/fuzz_}"

cd build/fuzz
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "seeds/$target"
  options=()
  case $target in
    image) # the first byte says what is done with the picture
      find ../../tests/goldens/image_decode/files ../../examples/pictures -type f -size -65k \
        -regex '.*\.\(png\|jpg\|gif\|webp\|bmp\)' |
        while read -r file; do { printf '\3' && cat "$file"; } >"seeds/$target/$(basename "$file")"; done
      options=(-max_len=16384)
      ;;
    *)
      split --lines=1 --suffix-length=3 --additional-suffix=.txt "../../tests/fuzz/${target/filter/filters}.txt" "seeds/$target/"
      truncate --size=-1 "seeds/$target"/*.txt # without the line's end
      options=(-max_len=4096 "-dict=../../tests/fuzz/$target.dict")
      ;;
  esac
  echo "--- $target, $seconds s"
  "./fuzz_$target" "corpus/$target" "seeds/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$target-" -print_final_stats=1 -verbosity=1 "${options[@]}" >"$target.log" 2>&1 ||
    { tail -40 "$target.log" && exit 1; }
  grep -E 'stat::number_of_executed_units|stat::average_exec_per_sec|stat::peak_rss_mb' "$target.log"
done
