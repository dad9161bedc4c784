#!/usr/bin/env bash
# From nothing to a search of pictures: installs the packages that are missing, builds the program,
# draws a gallery of 300 pictures that the built-in model has never seen, and finds some of them by
# words, by a picture, and by a picture changed by words.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh
e5v=build/release/e5v
demo=build/demo

echo
echo "--- a gallery of 300 pictures of a small world: 50 scenes, and 5 changes of each"
if [ ! -e "$demo/gallery" ]; then
  "$e5v" shapes --split test --seed 5 --scenes 200 --parts composed --output "$demo/gallery"
fi
pictures=$demo/gallery/composed/test

echo "--- indexed by the built-in model (models/shapes-mini)"
rm -rf "$demo/collection"  # a moment's work, and of another model's vectors no use could be made
"$e5v" index "$pictures" --collection "$demo/collection"

# find NAME OPTION...: prints the best five and writes a page with twelve.
find_pictures() {
  "$e5v" search --collection "$demo/collection" -k 5 "${@:2}"
  "$e5v" search --collection "$demo/collection" -k 12 --html "$demo/$1.html" --quiet "${@:2}"
}
words="a large orange square above a large green star on a white background"
picture=$pictures/test-7-img0.png
change="turn the star into a cross"

echo
echo "--- by words: $words"
find_pictures words "$words"
echo
echo "--- by a picture: $picture"
find_pictures picture --image "$picture"
echo
echo "--- by a picture and words: $picture, \"$change\""
find_pictures composed --image "$picture" "$change"

cat <<TEXT

The pictures: file://$PWD/$demo/words.html, picture.html and composed.html beside it.

The built-in model knows nothing but this world. For real pictures:
  e5v pull royokong/e5-v               # 16.7 GB; prints the folder
  e5v index ~/Pictures --collection pictures --model FOLDER
  e5v search --collection pictures "a dog in the snow"
TEXT
