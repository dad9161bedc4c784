#!/usr/bin/env bash
# Builds e5v against the libtorch of this machine's Python, in build/gpu, and checks what needs a
# CUDA device: scripts/gpu-check.sh [PYTHON]
# Compares embeddings on the GPU with the goldens, then measures both devices on a random model.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:-python3}
"$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null || {
  echo "gpu-check.sh: $python has no torch that finds a CUDA device" >&2
  exit 1
}
torch=$("$python" -c 'import torch; print(torch.utils.cmake_prefix_path)')
abi=$("$python" -c 'import torch; print(int(torch.compiled_with_cxx11_abi()))')
cmake -S . -B build/gpu -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$torch" \
  -DCMAKE_CXX_FLAGS="-D_GLIBCXX_USE_CXX11_ABI=$abi"
cmake --build build/gpu --parallel "$(scripts/jobs.sh)" --target e5v embed_test families_test

build/gpu/embed_test --gtest_filter='*Golden*'
build/gpu/families_test --gtest_filter='*Golden*'

model=build/gpu/1b
[ -e "$model/config.json" ] || build/gpu/e5v random-model --preset 1b --output "$model"
for device in cuda cpu; do
  build/gpu/e5v bench --model "$model" --device "$device" --precision bf16
done
