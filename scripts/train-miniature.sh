#!/usr/bin/env bash
# From nothing to a miniature E5-V: draws the world of shapes, trains a language model on it and a
# CLIP beside it, aligns CLIP's vision tower with the language model through pictures, and tunes the
# whole on triplets of texts alone. Beside it what it is compared with: another CLIP, SEARLE's network
# on it, and the same model tuned on pictures and captions. Stages that are done are not done again; one
# that was interrupted goes on where it was. Each stage takes one core, two run at a time where they
# can: the same weights come out on every machine that rounds alike.
#
#   scripts/train-miniature.sh                       into build/miniature
#   scripts/train-miniature.sh --output DIR
#   scripts/train-miniature.sh --ranks 2             a stage with nothing beside it takes both cores:
#                                                    sooner, and other roundings
#   scripts/train-miniature.sh --steps 3 --scenes 500 --output /tmp/try    to see that it works
set -euo pipefail
cd "$(dirname "$0")/.."

output=build/miniature
steps=0          # of each stage; 0 = as its recipe says
ranks=1
other=           # the process beside, while there is one
text_scenes=100000
picture_scenes=20000
while [ $# -gt 0 ]; do
  case "$1" in
    --output) output=$2 ;;
    --steps) steps=$2 ;;
    --ranks) ranks=$2 ;;
    --scenes) text_scenes=$2 picture_scenes=$2 ;;
    *) echo "train-miniature.sh: unknown option $1; expected --output, --ranks, --steps or --scenes" >&2; exit 2 ;;
  esac
  shift 2
done
case "$ranks" in 1 | 2) ;; *) echo "train-miniature.sh: --ranks is '$ranks', expected 1 or 2" >&2; exit 2 ;; esac
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
  local command=("$e5v" train --recipe "recipes/shapes/$1.json" --model "$2" --data "$3" --eval-data "$4"
    "${limit[@]}" --threads 1 --output "$output/$1" --resume)
  if [ "$ranks" = 1 ] || [ -n "$other" ]; then
    "${command[@]}"
    return
  fi
  RANK=1 WORLD_SIZE=2 "${command[@]}" --quiet &
  RANK=0 WORLD_SIZE=2 "${command[@]}"
  wait $!
}

echo "--- the world"
draw texts --split train --seed 1 --scenes "$text_scenes" --parts conversations --parts triplets
draw pictures --split train --seed 2 --scenes "$picture_scenes" --parts rand --parts conversations
draw val --split val --scenes 400 --parts rand --parts hard --parts composed --parts triplets
draw val-conversations --split val --scenes 500 --parts rand --parts conversations
val=$data/val-conversations
texts=$data/texts pictures=$data/pictures
words=$texts/words.txt

[ -e "$output/0-nothing" ] ||
  "$e5v" random-model --preset shapes-mini --texts "$words" --output "$output/0-nothing"
[ -e "$output/0-clip" ] ||
  "$e5v" random-model --preset shapes-mini-clip --texts "$words" --dtype fp32 --output "$output/0-clip"

# join FILE PART...: the lines of the parts.
join() {
  [ -e "$1" ] || { cat "${@:2}" >"$1.tmp" && mv "$1.tmp" "$1"; }
}
# merge NAME MODEL VISION: MODEL with the tower (and projector) of VISION.
merge() {
  [ -e "$output/$1" ] || "$e5v" merge --model "$2" --vision-tower "$3" --output "$output/$1"
}
# beside COMMAND...: runs it on the other core; `wait_beside` waits for it.
beside() {
  other=starting  # for the child, too
  "$@" &
  other=$!
  trap 'kill $other 2>/dev/null || true' EXIT
}
wait_beside() {
  wait $other
  other=
  trap - EXIT
}

beside stage clip "$output/0-clip" "$pictures/picture_captions.jsonl" "$val/picture_captions.jsonl"
stage 1-language "$output/0-nothing" "$texts/text_conversations.jsonl" "$val/text_conversations.jsonl"
wait_beside
stage 2-language "$output/1-language/model" "$texts/text_conversations.jsonl" "$val/text_conversations.jsonl"

# The tower learns to speak to the language model of stage 2, while that learns more about edits.
for scenes in "$val" "$pictures"; do
  join "$scenes/alignment.jsonl" "$scenes/picture_conversations.jsonl" "$scenes/picture_words.jsonl"
done
for scenes in "$val" "$texts"; do
  join "$scenes/language-edits.jsonl" "$scenes/text_conversations.jsonl" "$scenes/text_edits.jsonl"
done
merge 3-joined "$output/2-language/model" "$output/clip/model"
beside stage 3-language "$output/2-language/model" "$texts/language-edits.jsonl" "$val/language-edits.jsonl"
stage 3-alignment "$output/3-joined" "$pictures/alignment.jsonl" "$val/alignment.jsonl"
wait_beside

# What the miniature is compared with: a CLIP that sees descriptions, too, and SEARLE's network on it.
baselines() {
  stage 4-clip "$output/0-clip" "$pictures/captions-descriptions.jsonl" "$val/picture_captions.jsonl"
  if [ ! -e "$output/phi/loss.svg" ]; then
    echo "--- phi"
    local limit=()
    [ "$steps" = 0 ] || limit=(--max-steps "$steps")
    "$e5v" train-phi --model "$output/4-clip/model" --data "$pictures/rand/images" \
      --concepts recipes/shapes/concepts.txt --epochs 4 --learning-rate 0.001 \
      "${limit[@]}" --threads 1 --output "$output/phi" --resume
  fi
}
join "$pictures/captions-descriptions.jsonl" "$pictures/picture_captions.jsonl" "$pictures/picture_descriptions.jsonl"
beside baselines

# Now with the words of each picture twice.
join "$pictures/alignment-words.jsonl" "$pictures/picture_words.jsonl" "$pictures/alignment.jsonl"
merge 4-joined "$output/3-language/model" "$output/3-alignment/model"
stage 4-alignment "$output/4-joined" "$pictures/alignment-words.jsonl" "$val/alignment.jsonl"
stage 5-alignment "$output/4-alignment/model" "$pictures/alignment-words.jsonl" "$val/alignment.jsonl"
wait_beside

model=$output/5-alignment/model
beside stage 6-texts "$model" "$texts/triplets.csv" "$data/val/triplets.csv"
stage 6-pictures "$model" "$pictures/picture_captions.jsonl" "$val/picture_captions.jsonl"
wait_beside
echo "the model: $model; updates of it: $output/6-texts, $output/6-pictures"
