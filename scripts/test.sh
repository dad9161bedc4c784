#!/usr/bin/env bash
# Everything that has to hold before a change goes in: it builds without warnings, is formatted, and
# passes its tests, those of the folders that read foreign bytes also under the address and
# undefined-behaviour sanitizers. What is built already is not built again.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-packages.sh
scripts/format.sh --check
scripts/build.sh all

# The folders that parse what others wrote.
sanitized=(base hub text image checkpoint train_data)
cmake --preset asan -DE5V_WERROR=OFF
cmake --build --preset asan --parallel "$(scripts/jobs.sh)" --target "${sanitized[@]/%/_test}"
names=$(IFS='|' && echo "${sanitized[*]}")
ctest --preset asan --tests-regex "^($names)\." --no-tests=error --parallel "$(scripts/jobs.sh)"

scripts/test-install.sh

# Last, so that its closing line is the script's.
ctest --preset release --label-regex 'unit|golden' --no-tests=error --parallel "$(scripts/jobs.sh)"
