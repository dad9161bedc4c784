"""Ids of OpenAI CLIP's published tokenizer for several hundred strings.

    python3 tests/goldens/clip_tokens/generate.py TOKENIZER.json

The tokenizer (2 MB) is not part of this project; the test looks for it where other published files are.
"""

import itertools
import json
import sys
from pathlib import Path

import tokenizers

here = Path(__file__).parent
strings = json.loads((here / "../tokenizer_kinds/strings.json").read_text())
subjects = ["a photo of a cat", "Two dogs", "the BUS", "an old man's hat", "3 women", "surfers", "a $", "the café"]
changes = ["is shiny and silver with shorter sleeves", "has no sleeves.", "is the same, but 2x larger", "isn't red", "in the snow!", "& friends (b/w)"]
strings += [f"{subject} that {change}" for subject, change in itertools.product(subjects, changes)]
strings.append("a very long caption " * 40)
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
golden = {
    "generator": "python3 tests/goldens/clip_tokens/generate.py TOKENIZER.json",
    "versions": {"tokenizers": tokenizers.__version__},
    "seed": None,
    "dtype": "token ids",
    "tolerance": 0,
    "why": "One other id is another embedding.",
    "items": [{"text": text, "ids": tokenizer.encode(text).ids} for text in strings],
}
(here / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
print(len(strings))
