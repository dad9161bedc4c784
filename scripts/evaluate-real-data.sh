#!/usr/bin/env bash
# Every protocol of `e5v eval` from end to end: real annotations and captions, with e5v, CLIP and
# SEARLE on small models of random weights, whose figures mean nothing. Pictures that the data does
# not hold are drawn, under the same names. Checks that nothing is left out and that the numbers of
# queries and pictures are the published ones.
#
#   scripts/evaluate-real-data.sh [DATA [OUTPUT]]      ../shared/data, build/real-data
#
# DATA holds cir/{cirr,fashioniq,circo}, sts, retrieval/{coco,coco_mini}; what is not there is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

data=${1:-../shared/data}
output=${2:-build/real-data}
e5v=${E5V:-build/release/e5v}
if [ ! -d "$data" ]; then
  echo "evaluate-real-data.sh: skipped, there is no folder $data" >&2
  exit 0
fi
[ -x "$e5v" ] || { echo "evaluate-real-data.sh: $e5v is missing; scripts/build.sh makes it" >&2; exit 1; }
mkdir -p "$output/sets"

# --- models
[ -e "$output/tiny" ] || "$e5v" random-model --quiet --preset tiny --output "$output/tiny" > /dev/null
if [ ! -e "$output/clip" ]; then
  mkdir "$output/clip"
  cp tests/goldens/clip_tiny/{config.json,preprocessor_config.json,model.safetensors} "$output/clip/"
  cp tests/goldens/tokenizer_kinds/clip.tokenizer.json "$output/clip/tokenizer.json"
fi

# --- pictures: scenes of coloured shapes, linked to under each name
scenes=${SCENES:-1500}
[ -e "$output/scenes" ] ||
  "$e5v" shapes --quiet --split train --scenes $scenes --side 24 --parts rand --output "$output/scenes" > /dev/null
scenes_folder=$(realpath "$output/scenes/rand/images")

# link FOLDER < names: each name becomes a picture in FOLDER.
link() {
  mkdir -p "$1"
  local i=0 name
  while read -r name; do
    mkdir -p "$1/$(dirname "$name")"
    ln -sfn "$scenes_folder/$(printf %06d $((i % scenes))).png" "$1/$name"
    i=$((i + 1))
  done
}
# values PYTHON-EXPRESSION FILE...: a line for each item of the expression, in which d is the file's JSON.
values() {
  python3 -c 'import json, sys
for path in sys.argv[2:]:
    d = json.load(open(path))
    for item in eval(sys.argv[1]): print(item)' "$@"
}

# --- evaluations
failures=0
# evaluate NAME TASK COUNTS OPTION...: with each system; COUNTS are fields of "data" in the report.
evaluate() {
  local name=$1 task=$2 counts=$3 system started report
  shift 3
  for system in e5v clip searle; do
    local model=(--model "$output/clip")
    [ "$system" = e5v ] && model=(--model "$output/tiny")
    [ "$system" = searle ] && model+=(--phi tests/goldens/clip_tiny/phi.safetensors)
    report=$output/reports/$name-$system
    rm -rf "$report"
    started=$SECONDS
    if ! "$e5v" eval "$task" --quiet --system "$system" "${model[@]}" --cache "$output/cache" \
        --output "$report" "$@" > "$output/last.log" 2>&1; then
      echo "FAILED $name $system: $(tail -1 "$output/last.log")"
      failures=$((failures + 1))
    elif ! python3 - "$report" "$counts" <<'PYTHON'
import json, math, os, sys
report = json.load(open(sys.argv[1] + "/results.json"))
def check(have, want, name):
    if not isinstance(want, dict):
        if have != want: sys.exit(f"{name} is {have}, expected {want}")
        return
    for key in want: check((have or {}).get(key), want[key], f"{name}.{key}")
check(report["data"], json.loads(sys.argv[2]), "data")
if report.get("partial") or report.get("skipped"): sys.exit("something was left out")
bad = [name for name, metric in report["metrics"].items() if not math.isfinite(metric["value"])]
if bad: sys.exit(f"figures that are no numbers: {bad}")
# A split whose answers are hidden gives files for its server instead of figures.
others = set(os.listdir(sys.argv[1])) - {"results.json", "per_query.json", "report.md", "report.html"}
if not report["metrics"] and not others: sys.exit("neither figures nor files for the server")
PYTHON
    then
      echo "FAILED $name $system"
      failures=$((failures + 1))
    else
      echo "ok     $name $system, $((SECONDS - started)) s"
    fi
  done
}

have() {
  [ -e "$data/$1" ] || { echo "skipped $1: not in $data"; return 1; }
}

if have retrieval/coco_mini/captions_val2017.json; then
  # 51 photographs: those of its captions of both years that are there.
  set=$output/sets/photos
  mkdir -p "$set"
  python3 - "$data/retrieval/coco_mini" "$set/captions.json" <<'PYTHON'
import json, os, sys
source, target = sys.argv[1:]
there = {f: f"{year}2017/{f}" for year in ("train", "val") for f in os.listdir(f"{source}/images/{year}2017")}
images, captions = [], []
for year in "train", "val":
    part = json.load(open(f"{source}/captions_{year}2017.json"))
    kept = {i["id"]: {**i, "file_name": there[i["file_name"]]} for i in part["images"] if i["file_name"] in there}
    images += kept.values()
    captions += [a for a in part["annotations"] if a["image_id"] in kept]
json.dump({"images": images, "annotations": captions}, open(target, "w"))
PYTHON
  for task in retrieval i2i gap; do
    counts='{"images": 51}'
    [ "$task" != gap ] || counts='{"pairs": 51}'
    evaluate "photos-$task" $task "$counts" --data "$set/captions.json" --images "$data/retrieval/coco_mini/images"
  done
fi
if have cir/cirr; then
  link "$output/sets/cirr-pictures" \
    < <(values 'd.values()' "$data"/cir/cirr/image_splits/split.rc2.{val,test1}.json)
  evaluate cirr cirr '{"queries": 4181, "gallery": 2297}' --data "$data/cir/cirr" \
    --images "$output/sets/cirr-pictures"
  evaluate cirr-test1 cirr '{"queries": 4148, "gallery": 2315}' --data "$data/cir/cirr" --split test1 \
    --images "$output/sets/cirr-pictures"
fi
if have cir/fashioniq; then
  link "$output/sets/fashioniq-pictures" \
    < <(values '[name + ".png" for name in d]' "$data"/cir/fashioniq/image_splits/split.{dress,shirt,toptee}.val.json)
  evaluate fashioniq fashioniq '{"categories": {"dress": {"queries": 2017}, "shirt": {"queries": 2038}, "toptee": {"queries": 1961}}}' \
    --data "$data/cir/fashioniq" \
    --images "$output/sets/fashioniq-pictures"
fi
if have cir/circo/annotations/val.json; then
  # The gallery of the published set is all of COCO's unlabeled2017; here what its annotations name.
  set=$output/sets/circo
  mkdir -p "$set/annotations"
  cp "$data"/cir/circo/annotations/{val,test}.json "$set/annotations/"
  python3 - "$set/annotations" <<'PYTHON'
import json, sys
ids = set()
for split in "val", "test":
    for query in json.load(open(f"{sys.argv[1]}/{split}.json")):
        ids |= {query["reference_img_id"], *query.get("gt_img_ids", [])}
images = [{"id": i, "file_name": f"{i:012}.jpg"} for i in sorted(ids)]
json.dump({"images": images}, open(f"{sys.argv[1]}/image_info_unlabeled2017.json", "w"))
PYTHON
  link "$set/unlabeled2017" \
    < <(values '[i["file_name"] for i in d["images"]]' "$set/annotations/image_info_unlabeled2017.json")
  evaluate circo circo '{"queries": 220}' --data "$set"
  evaluate circo-test circo '{"queries": 800}' --data "$set" --split test
fi
if have sts; then
  evaluate sts sts '{"pairs": {"sts12": 3108, "sts13": 1500, "sts14": 3750, "sts15": 3000, "sts16": 1186, "stsb": 1379, "sickr": 4927}}' \
    --data "$data/sts"
fi
if have retrieval/coco/captions_val2017.json; then
  link "$output/sets/coco-pictures" \
    < <(values '[i["file_name"] for i in d["images"]]' "$data/retrieval/coco/captions_val2017.json")
  evaluate coco coco '{"images": 5000, "captions": 25000}' --data "$data/retrieval/coco" \
    --images "$output/sets/coco-pictures"
fi
[ "$failures" = 0 ] || { echo "$failures failed"; exit 1; }
