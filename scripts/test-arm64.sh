#!/usr/bin/env bash
# Builds e5v for arm64 with a cross compiler (build/arm64), and runs the tests of what computes under
# qemu: scripts/test-arm64.sh [SYSROOT]
#   SYSROOT   where arm64's packages of Debian 12 lie or are unpacked (about 3 GB)
# MIRROR names another mirror than deb.debian.org. Needs root, for the compiler's packages.
set -euo pipefail
cd "$(dirname "$0")/.."
sysroot=$(realpath -m "${1:-/var/tmp/e5v-arm64}")

if ! command -v mmdebstrap >/dev/null || ! command -v qemu-aarch64-static >/dev/null ||
  ! command -v aarch64-linux-gnu-g++ >/dev/null; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    cmake g++-aarch64-linux-gnu mmdebstrap ninja-build pkg-config qemu-user-static
fi
if [ ! -e "$sysroot/usr/include/torch" ]; then
  # Unpacked only, not set up: nothing of arm64 is run for that.
  packages=$(sed 's/#.*//' scripts/packages.txt | grep -oE '^(lib|nlohmann|fonts)\S+' | paste -sd,)
  mmdebstrap --variant=extract --architectures=arm64 --include="libc6-dev,libstdc++-12-dev,$packages" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr bookworm "$sysroot" "${MIRROR:-http://deb.debian.org/debian}"
  # What setting up would have made.
  libraries=$sysroot/usr/lib/aarch64-linux-gnu
  for name in blas lapack; do
    ln -sf "openblas-openmp/lib$name.so.3" "$libraries/lib$name.so.3"
    ln -sf "$name/lib$name.so" "$libraries/lib$name.so"
  done
  ln -sf openblas-openmp/libopenblas.so.0 "$libraries/libopenblas.so.0"
  # Faiss names its BLAS by a path on the machine that it is installed on.
  sed -i "s#/usr/lib/aarch64-linux-gnu/lib[bl]#$sysroot&#g" "$libraries/cmake/faiss/faiss-targets.cmake"
fi

export E5V_ARM64_SYSROOT=$sysroot
cmake --preset arm64
cmake --build --preset arm64 --parallel "$(scripts/jobs.sh)"
# Emulated: what is slow, or starts programs, is left out.
ctest --preset arm64 --tests-regex '^(base|text|image|checkpoint|kernels|nn|lora|model|families|embed)\.' --no-tests=error
