#!/usr/bin/env bash
# From nothing to a miniature E5-V: draws the world of shapes, trains a language model on it, aligns
# a vision tower with that through pictures, and tunes the whole on triplets of texts alone. Stages
# that are done are not done again; one that was interrupted goes on where it was.
#
#   scripts/train-miniature.sh                       into build/miniature
#   scripts/train-miniature.sh --output DIR
#   scripts/train-miniature.sh --steps 3 --scenes 500 --output /tmp/try    to see that it works
set -euo pipefail
cd "$(dirname "$0")/.."

output=build/miniature
steps=0          # of each stage; 0 = as its recipe says
text_scenes=100000
picture_scenes=20000
while [ $# -gt 0 ]; do
  case "$1" in
    --output) output=$2 ;;
    --steps) steps=$2 ;;
    --scenes) text_scenes=$2 picture_scenes=$2 ;;
    *) echo "train-miniature.sh: unknown option $1; expected --output, --steps or --scenes" >&2; exit 2 ;;
  esac
  shift 2
done
e5v=build/release/e5v
[ -x "$e5v" ] || scripts/build.sh
data=$output/data
mkdir -p "$data"

# draw NAME OPTION...: a folder of scenes; it appears when complete.
draw() {
  [ -e "$data/$1" ] || "$e5v" shapes --output "$data/$1" "${@:2}"
}
# stage NAME MODEL DATA EVAL_DATA: trains MODEL by recipes/shapes/NAME.json into $output/NAME.
stage() {
  [ ! -e "$output/$1/loss.svg" ] || return 0
  echo "--- $1"
  "$e5v" train --recipe "recipes/shapes/$1.json" --model "$2" --data "$3" --eval-data "$4" \
    --max-steps "$steps" --output "$output/$1" --resume
}

echo "--- the world"
draw texts --split train --seed 1 --scenes "$text_scenes" --parts conversations --parts triplets
draw pictures --split train --seed 2 --scenes "$picture_scenes" --parts rand --parts conversations
draw val --split val --scenes 300

val=$data/val-conversations
draw val-conversations --split val --scenes 500 --parts rand --parts conversations
[ -e "$output/0-nothing" ] ||
  "$e5v" random-model --preset shapes-mini --texts "$data/texts/words.txt" --output "$output/0-nothing"

stage 1-language "$output/0-nothing" "$data/texts/text_conversations.jsonl" "$val/text_conversations.jsonl"
stage 2-alignment "$output/1-language/model" "$data/pictures/picture_conversations.jsonl" \
  "$val/picture_conversations.jsonl"
stage 3-texts "$output/2-alignment/model" "$data/texts/triplets.csv" "$data/val/triplets.csv"
stage 3-pictures "$output/2-alignment/model" "$data/pictures/picture_captions.jsonl" \
  "$val/picture_captions.jsonl"

if [ ! -e "$output/shapes-mini" ]; then
  "$e5v" merge --model "$output/2-alignment/model" --adapter "$output/3-texts" --output "$output/shapes-mini"
fi
echo "the model: $output/shapes-mini"
