"""Captions drawn as pictures by PIL, with the rule of the paper's I2I tasks.

    python3 tests/goldens/text_image/generate.py DEJAVU_SANS.ttf LIBERATION_SANS.ttf

writes layout.json (line breaks, lengths, positions) and a picture of one caption per font. The basic layout engine: the
other one needs HarfBuzz, and where both work they differ by fractions of a pixel a word.
"""

import hashlib
import json
import platform
import sys
from pathlib import Path

import PIL
from PIL import Image, ImageDraw, ImageFont, features

here = Path(__file__).parent
CAPTIONS = [
    "A dog.",
    "Two young guys with shaggy hair look at their hands while hanging out in the yard.",
    "A man in a blue shirt is standing on a ladder cleaning a window, AVAST! WAVE To. Yes.",
    "a  b\tc\nd   (whitespace of every kind) \u00a0 joins",
    "Crème brûlée, naïve façade — “quoted” and Ünïcode.",
    "supercalifragilisticexpialidocious " * 5,
    "",
    "gypsy jogging quickly, pyq " + "and so on and on, " * 14,
    "i " * 120,
]


def wrap(draw, text, font, width):
    lines, words = [], text.split()
    while words:
        line = ""
        while words and draw.textlength(line + words[0], font=font) <= width:
            line += words.pop(0) + " "
        lines.append(line)
    return lines


def draw_text(text, font):
    picture = Image.new("RGB", (800, 400), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    lines = wrap(draw, text, font, 760)
    heights = []
    for line in lines:
        box = draw.textbbox((0, 0), line, font=font)
        heights.append(box[3] - box[1])
    y = (400 - sum(heights)) // 2
    positions = []
    for line, height in zip(lines, heights):
        positions.append(y)
        draw.text((20, y), line, font=font, fill=(0, 0, 0))
        y += height
    lengths = [draw.textlength(line, font=font) for line in lines]
    return picture, lines, lengths, positions


golden = {
    "generator": "python3 tests/goldens/text_image/generate.py DEJAVU_SANS.ttf LIBERATION_SANS.ttf",
    "versions": {
        "python": platform.python_version(),
        "Pillow": PIL.__version__,
        "freetype": features.version("freetype2"),
    },
    "seed": None,
    "dtype": "uint8",
    "tolerance": {"pixel": 24, "share": 0.002},
    "why": "Lines, lengths and positions are whole numbers and equal. Coverage of a pixel at a glyph's edge may differ "
    "between versions of FreeType: at most a share of the pixels by more than `pixel`.",
    "fonts": {},
}
for name, path in (("dejavu", sys.argv[1]), ("liberation", sys.argv[2])):
    font = ImageFont.truetype(path, 40, layout_engine=ImageFont.Layout.BASIC)
    entries = []
    for text in CAPTIONS:
        picture, lines, lengths, positions = draw_text(text, font)
        entries.append({"text": text, "lines": lines, "lengths": lengths, "positions": positions})
        if text is CAPTIONS[2]:
            picture.convert("L").save(here / f"{name}.png", optimize=True)
    golden["fonts"][name] = {
        "file": Path(path).name,
        "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        "captions": entries,
    }
(here / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
