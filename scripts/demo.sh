#!/usr/bin/env bash
# From nothing to embeddings: installs the packages that are missing, builds the program, makes a
# miniature model, and embeds the pictures and captions of examples/ with it.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh
e5v=build/release/e5v
demo=build/demo

if [ ! -e "$demo/model/config.json" ]; then
  echo "--- a miniature model"
  rm -rf "$demo/model"
  mkdir -p "$demo"
  "$e5v" random-model --preset tiny --seed 1 --output "$demo/model"
fi
"$e5v" inspect "$demo/model"

echo "--- what it sees of a picture"
"$e5v" preprocess --model "$demo/model" --image examples/pictures/sunset.jpg \
  --output "$demo/tiles.npy"

echo "--- embedding the pictures and captions of examples/items.jsonl"
"$e5v" embed --model "$demo/model" --input examples/items.jsonl --output "$demo/items.npy"

echo "--- how similar they are to it"
"$e5v" similarity --model "$demo/model" "The sun goes down over the sea." \
  "Snow lies on the peak of a mountain." examples/pictures/sunset.jpg \
  examples/pictures/mountains.webp

cat <<'TEXT'

The weights of this model are RANDOM: every step above is the real one, but the similarities mean
nothing. For a trained model: e5v pull royokong/e5-v, and give the folder it prints as --model.
TEXT
