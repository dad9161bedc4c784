#!/usr/bin/env bash
# From nothing to a miniature E5-V: draws the world of shapes, trains a language model on it and a
# CLIP beside it, aligns CLIP's vision tower with the language model through pictures, and tunes the
# whole on triplets of texts alone. Beside it what it is compared with: the CLIP, SEARLE's network on
# it, and the same model tuned on pictures and captions. Stages that are done are not done again; one
# that was interrupted goes on where it was. Two stages run at a time, each on one core: the same
# weights come out on every machine that rounds alike.
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
  local limit=()
  [ "$steps" = 0 ] || limit=(--max-steps "$steps")
  "$e5v" train --recipe "recipes/shapes/$1.json" --model "$2" --data "$3" --eval-data "$4" \
    "${limit[@]}" --threads 1 --output "$output/$1" --resume
}

echo "--- the world"
draw texts --split train --seed 1 --scenes "$text_scenes" --parts conversations --parts triplets
draw pictures --split train --seed 2 --scenes "$picture_scenes" --parts rand --parts conversations
draw val --split val --scenes 400 --parts rand --parts hard --parts composed --parts triplets
draw val-conversations --split val --scenes 500 --parts rand --parts conversations
val=$data/val-conversations
words=$data/texts/words.txt

[ -e "$output/0-nothing" ] ||
  "$e5v" random-model --preset shapes-mini --texts "$words" --output "$output/0-nothing"
[ -e "$output/0-clip" ] ||
  "$e5v" random-model --preset shapes-mini-clip --texts "$words" --dtype fp32 --output "$output/0-clip"

clip() {
  stage clip "$output/0-clip" "$data/pictures/picture_captions.jsonl" "$val/picture_captions.jsonl"
  if [ ! -e "$output/phi/loss.svg" ]; then
    echo "--- phi"
    local limit=()
    [ "$steps" = 0 ] || limit=(--max-steps "$steps")
    "$e5v" train-phi --model "$output/clip/model" --data "$data/pictures/rand/images" \
      --concepts recipes/shapes/concepts.txt --epochs 4 --learning-rate 0.001 \
      "${limit[@]}" --threads 1 --output "$output/phi" --resume
  fi
}
language() {
  stage 1-language "$output/0-nothing" "$data/texts/text_conversations.jsonl" \
    "$val/text_conversations.jsonl"
  stage 2-language "$output/1-language/model" "$data/texts/text_conversations.jsonl" \
    "$val/text_conversations.jsonl"
}
clip &
beside=$!
trap 'kill $beside 2>/dev/null || true' EXIT
language
wait $beside

[ -e "$output/3-joined" ] ||
  "$e5v" merge --model "$output/2-language/model" --vision-tower "$output/clip/model" \
    --output "$output/3-joined"
# Descriptions and questions, and the words of each picture; then the words twice.
join() {
  [ -e "$1" ] || { cat "${@:2}" >"$1.tmp" && mv "$1.tmp" "$1"; }
}
pictures=$data/pictures
join "$val/alignment.jsonl" "$val/picture_conversations.jsonl" "$val/picture_words.jsonl"
join "$pictures/alignment.jsonl" "$pictures/picture_conversations.jsonl" "$pictures/picture_words.jsonl"
join "$pictures/alignment-words.jsonl" "$pictures/picture_words.jsonl" "$pictures/alignment.jsonl"
stage 3-alignment "$output/3-joined" "$pictures/alignment.jsonl" "$val/alignment.jsonl"
stage 4-alignment "$output/3-alignment/model" "$pictures/alignment-words.jsonl" "$val/alignment.jsonl"

model=$output/4-alignment/model
stage 5-texts "$model" "$data/texts/triplets.csv" "$data/val/triplets.csv" &
beside=$!
stage 5-pictures "$model" "$pictures/picture_captions.jsonl" "$val/picture_captions.jsonl"
wait $beside
trap - EXIT
echo "the model: $model; updates of it: $output/5-texts, $output/5-pictures"
