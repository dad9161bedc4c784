#!/usr/bin/env bash
# Measures the built-in miniature and what it is compared with, on held-out scenes of three seeds, and
# writes the report: report.md, tables with 95 % intervals, and index.html, the claims of the paper with
# plots and pictures (scripts/claims-page.py).
#
#   scripts/reproduce-claims.sh                       of models/, into build/claims
#   scripts/reproduce-claims.sh --models DIR --split val --output DIR
#
# DIR has shapes-mini, shapes-mini-texts and shapes-mini-pictures (adapters of it), shapes-mini-clip
# with phi.safetensors in it.
set -euo pipefail
cd "$(dirname "$0")/.."

models=models
split=test
output=build/claims
seeds="11 12 13"
while [ $# -gt 0 ]; do
  case "$1" in
    --models) models=$2 ;;
    --split) split=$2 ;;
    --output) output=$2 ;;
    --seeds) seeds=$2 ;;
    *) echo "reproduce-claims.sh: unknown option $1; expected --models, --split, --output or --seeds" >&2; exit 2 ;;
  esac
  shift 2
done
e5v=build/release/e5v
[ -x "$e5v" ] || scripts/build.sh
mini=$models/shapes-mini
clip=$models/shapes-mini-clip

for seed in $seeds; do
  [ -e "$output/data/$seed" ] ||
    "$e5v" shapes --split "$split" --seed "$seed" --scenes 1000 --parts rand --parts distinct --parts hard --output "$output/data/$seed" --quiet >/dev/null
  [ -e "$output/data/$seed-composed" ] ||
    "$e5v" shapes --split "$split" --seed "$seed" --scenes 200 --parts composed --output "$output/data/$seed-composed" --quiet >/dev/null
done

# measure NAME TASK PART OPTION...: one report a seed, all seeds at a time (so small a model leaves a
# second core idle), pooled into $output/NAME/PART.
measure() {
  local name=$1 task=$2 part=$3 seed process reports=() running=()
  shift 3
  for seed in $seeds; do
    local where=(--data "$output/data/$seed/$part/dataset.json" --images "$output/data/$seed/$part/images")
    [ "$part" != composed ] || where=(--data "$output/data/$seed-composed/composed")
    "$e5v" eval "$task" "${where[@]}" --split "$split" --output "$output/$name/$part-$seed" --quiet \
      --no-cached --threads 1 "$@" >/dev/null &
    running+=($!)
    reports+=("$output/$name/$part-$seed")
  done
  for process in "${running[@]}"; do wait "$process"; done
  "$e5v" eval pool "${reports[@]}" --output "$output/$name/$part" --quiet >/dev/null
}
have() { [ -e "$models/$1" ]; }

for part in rand distinct hard; do
  echo "--- $part"
  measure prompts prompts $part --prompts-task retrieval --prompts recipes/shapes/prompts.json --model "$mini"
  measure prompt retrieval $part --model "$mini"
  ! have shapes-mini-clip || measure clip retrieval $part --system clip --model "$clip"
  for tuned in texts pictures; do
    ! have "shapes-mini-$tuned" ||
      measure $tuned retrieval $part --model "$mini" --adapter "$models/shapes-mini-$tuned"
  done
done
echo "--- composed"
measure prompt cirr composed --model "$mini"
for composition in image text sum; do
  measure "prompt-$composition" cirr composed --model "$mini" --composition $composition
done
for tuned in texts pictures; do
  ! have "shapes-mini-$tuned" ||
    measure $tuned cirr composed --model "$mini" --adapter "$models/shapes-mini-$tuned"
done
if have shapes-mini-clip; then
  for composition in image text sum; do
    measure "clip-$composition" cirr composed --system clip --model "$clip" --composition $composition
  done
  measure searle cirr composed --system searle --model "$clip" --phi "$clip/phi.safetensors" \
    --searle-template '$ <sent>'
fi
echo "--- the modality gap"
gap() {  # NAME OPTION...
  local seed=${seeds%% *} name=$1
  shift
  "$e5v" eval gap --data "$output/data/$seed/rand/dataset.json" --images "$output/data/$seed/rand/images" \
    --split "$split" --output "$output/gap-$name" --quiet --no-cached "$@" >"$output/log"
}
gap prompt --model "$mini"
! have shapes-mini-texts || gap texts --model "$mini" --adapter "$models/shapes-mini-texts"
! have shapes-mini-clip || gap clip --system clip --model "$clip"

echo "--- the words"
# The first fifty scenes: pictures, then their captions.
words() {
  local scenes=$output/data/${seeds%% *}/rand pictures captions
  pictures=("$scenes"/images/*.png)
  mapfile -t captions < <(grep -o '"raw":"[^"]*"' "$scenes/dataset.json" | cut -d '"' -f 4)
  "$e5v" words --model "$mini" --top 5 --json --quiet "${pictures[@]:0:50}" "${captions[@]:0:50}" >"$output/words.json"
}
words

echo "--- the cost of tuning"
# A few steps of both recipes, each on as many rows: triplets of texts, the same without the negative,
# and pictures with their captions. Tokens and FLOPs are in what `e5v train` prints, the speed of each
# step in its metrics.jsonl. In turns, so that other programs slow down all three or none.
scenes=$output/data/costs
if [ ! -e "$scenes" ]; then
  "$e5v" shapes --split train --scenes 400 --parts rand --parts conversations --parts triplets --output "$scenes" --quiet >/dev/null
fi
sed -E 's/,"[^"]*"$//; s/,hard_neg$//' "$scenes/triplets.csv" >"$scenes/pairs.csv"
rm -rf "$output/costs"
cost() {  # NAME RECIPE DATA: a run in $output/costs/NAME/$turn
  mkdir -p "$output/costs/$1"
  "$e5v" train --recipe "recipes/shapes/$2.json" --model "$mini" --data "$scenes/$3" --max-steps 3 --save-every 0 \
    --output "$output/costs/$1/$turn" --json --quiet >"$output/costs/$1.json"
}
for turn in 1 2 3; do
  cost texts 6-texts triplets.csv
  cost text-pairs 6-texts pairs.csv
  cost pictures 6-pictures picture_captions.jsonl
done

# tables TITLE PART NAME...: those of the reports that are there, side by side.
tables() {
  local title=$1 part=$2 names=() name
  shift 2
  for name in "$@"; do
    [ ! -e "$output/$name/$part" ] || names+=("$name/$part")
  done
  echo
  echo "## $title"
  echo
  (cd "$output" && "$program" eval compare "${names[@]}")
}
program=$PWD/$e5v
{
  echo "# The miniature on held-out scenes ($split, seeds $seeds)"
  echo
  echo "Recall in percent over the queries of all seeds; 95 % intervals of the differences from the first column."
  echo
  echo "## Prompts"
  echo
  sed -n '/^| metric/,$p' "$output/prompts/rand/report.md"
  tables rand rand clip prompt texts pictures
  tables "distinct: no two scenes of the same words" distinct clip prompt texts pictures
  tables hard hard clip prompt texts pictures
  tables "composed: ways of E5-V" composed searle prompt prompt-image prompt-text prompt-sum texts pictures
  tables "composed: ways of CLIP" composed searle clip-image clip-text clip-sum
  for name in prompt texts clip; do
    [ ! -e "$output/gap-$name" ] || { echo && echo "## The modality gap: $name" && echo && sed -n '/^| metric/,$p' "$output/gap-$name/report.md"; }
  done
} >"$output/report.md"
scripts/claims-page.py "$output" >>"$output/report.md"
echo "the report: $output/index.html, and its tables: $output/report.md"
