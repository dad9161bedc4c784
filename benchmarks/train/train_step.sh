#!/usr/bin/env bash
# e5v's own training step on the 1b preset: tokens per second of each step and the peak of memory.
#
#   [STEPS=3] [MICRO_BATCH=48] benchmarks/train/train_step.sh E5V MODEL [--base-precision nf4 and other flags of e5v train]
#
# MODEL is made by `e5v random-model --preset 1b`; its byte-like tokenizer makes 32 tokens of each
# text below, prompt included. Batches of 48 triplets.
set -euo pipefail
e5v=$1 model=$2
shift 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
awk 'BEGIN {
  srand(1); print "sent0,sent1,hard_neg"
  letters = "bcdfghjklmnpqrstvwxz0123456789"
  for (row = 0; row < 144; ++row) {
    line = ""
    for (i = 0; i < 3; ++i) {
      for (j = 0; j < 13; ++j) line = line substr(letters, 1 + int(rand() * length(letters)), 1)
      if (i < 2) line = line ","
    }
    print line
  }
}' >"$folder/rows.csv"
/usr/bin/time -f 'peak %M kB' "$e5v" train --quiet --json --model "$model" --data "$folder/rows.csv" \
  --output "$folder/run" --batch-size 48 --micro-batch-size "${MICRO_BATCH:-48}" --chat-template plain --max-steps "${STEPS:-3}" \
  --epochs 1 --save-every 0 "$@"
cat "$folder/run/metrics.jsonl"
