#!/usr/bin/env bash
# What the same number of pairs costs with texts only, and with a 640x480 picture as each anchor:
# tokens, FLOPs and seconds of both, measured, after the paper's 1.5 h against 34.9 h.
#
#   benchmarks/train/cost_of_pictures.sh E5V MODEL PICTURE [PAIRS]
set -euo pipefail
e5v=$1 model=$2 picture=$(realpath "$3") pairs=${4:-8}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for ((i = 0; i < pairs; ++i)); do
  text="a short caption, number $i"
  echo "{\"anchor\": \"a photo, number $i\", \"positive\": \"$text\"}" >>"$folder/texts.jsonl"
  echo "{\"anchor\": {\"image\": \"$picture\"}, \"positive\": \"$text\"}" >>"$folder/pictures.jsonl"
done
for data in texts pictures; do
  echo "$data:"
  "$e5v" train --quiet --model "$model" --data "$folder/$data.jsonl" --output "$folder/$data" \
    --batch-size "$pairs" --micro-batch-size 1 --epochs 1 --save-every 0
done
