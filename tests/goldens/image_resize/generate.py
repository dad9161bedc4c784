#!/usr/bin/env python3
"""What PIL's Image.resize gives for pictures that a formula draws, as CRC-32 of the RGB bytes.

    python3 generate.py

Writes golden.json beside itself.
"""

import json
import pathlib
import zlib

import numpy as np
import PIL
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent

# height, width -> height, width
SIZES = [
    ((40, 60), (20, 30)),
    ((40, 60), (41, 59)),
    ((40, 60), (97, 133)),
    ((40, 60), (40, 30)),  # the rows keep their size: one pass
    ((40, 60), (13, 60)),  # the columns do
    ((33, 57), (336, 581)),
    ((427, 640), (336, 336)),
    ((480, 640), (504, 672)),
    ((1, 1), (28, 28)),
    ((1, 200), (4, 672)),
    ((200, 1), (336, 336)),
    ((3000, 20), (336, 3)),
    ((7, 2500), (336, 336)),  # more than 7 pixels of the source a pixel
    ((3, 5), (2, 1)),
    ((1000, 3), (1, 2)),  # hundreds of weights
    ((301, 200), (100, 100)),  # Pillow 13 begins with the columns…
    ((300, 200), (100, 100)),  # …and here with the rows
    ((101, 50), (100, 90)),
]
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def formula(height, width):
    """[height, width, 3] uint8: ramps that wrap around, so smooth parts and sharp edges."""
    y, x, c = np.ogrid[:height, :width, :3]
    return ((x * (5 + c) + y * (3 + 2 * c) + ((x * x + 3 * y * y + x * y) >> 5) + 60 * c) & 255).astype(np.uint8)


def main():
    cases = []
    for (height, width), (new_height, new_width) in SIZES:
        image = Image.fromarray(formula(height, width))
        for name, number in FILTERS.items():
            resized = image.resize((new_width, new_height), resample=number)
            # Pillow before 13 always began with the rows; one direction a call is the same.
            rows_first = image if number == 0 else image.resize((new_width, height), resample=number)
            rows_first = rows_first.resize((new_width, new_height), resample=number)
            cases.append(
                {
                    "from": [height, width],
                    "to": [new_height, new_width],
                    "resample": number,
                    "name": name,
                    "crc32": f"{zlib.crc32(resized.tobytes()):08x}",
                    "rows_first_crc32": f"{zlib.crc32(rows_first.tobytes()):08x}",
                }
            )
    golden = {
        "generator": "tests/goldens/image_resize/generate.py",
        "command": "python3 tests/goldens/image_resize/generate.py",
        "versions": {"Pillow": PIL.__version__, "numpy": np.__version__},
        "seed": None,
        "dtype": "uint8",
        "tolerance": "none: Pillow resizes 8-bit pictures in fixed-point arithmetic",
        "formula": "(x*(5+c) + y*(3+2c) + ((x*x + 3*y*y + x*y) >> 5) + 60*c) & 255",
        "cases": cases,
    }
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
