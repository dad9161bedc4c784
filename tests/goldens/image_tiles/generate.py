#!/usr/bin/env python3
"""What transformers' image processors (with PIL) make of pictures of many shapes and kinds.

    python3 generate.py [--rule-4.41 MODULE]

MODULE is an importable module with the class LlavaNextImageProcessor of transformers 4.40 or 4.41
(models/llava_next/image_processing_llava_next.py of that version), whose padding differs; without
it the entries of that rule in golden.json are kept. Writes golden.json and two small arrays beside
itself. The CRC-32 of a tile is that of its bytes [S, S, 3], that of the values of all float32
pixel_values [n, 3, S, S].
"""

import argparse
import importlib
import json
import pathlib
import types
import zlib

import numpy as np
import PIL
import transformers
from PIL import Image
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.image_utils import ChannelDimension
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next import modeling_llava_next
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor

HERE = pathlib.Path(__file__).resolve().parent
FILES = HERE.parent / "image_decode" / "files"

SHAPES = [  # height, width
    (1, 1), (1, 200), (200, 1), (33, 57), (57, 33), (300, 900), (900, 300), (427, 640), (640, 427),
    (480, 640), (20, 3000), (3000, 20), (336, 336), (337, 335), (335, 337), (336, 672), (55, 176),
    (600, 599), (1200, 1600),
]  # fmt: skip
PICTURES = ["gray_8.png", "gray_16.png", "la_8.png", "rgba_8.png", "palette_8.png", "cmyk.jpg", "lossy_alpha.webp"]

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
COMMON = {"image_mean": MEAN, "image_std": STD, "resample": 3, "rescale_factor": 0.00392156862745098}


def anyres(side):
    pinpoints = [[1, 2], [2, 1], [2, 2], [3, 1], [1, 3]]
    return {
        "image_processor_type": "LlavaNextImageProcessor",
        "image_grid_pinpoints": [[h * side, w * side] for h, w in pinpoints],
        "crop_size": {"height": side, "width": side},
        "size": {"shortest_edge": side},
        **COMMON,
    }


CONFIGS = {
    "anyres_336": anyres(336),
    "anyres_28": anyres(28),
    "anyres_28_bilinear_exact": {**anyres(28), "size": {"height": 28, "width": 28}, "resample": 2, "image_mean": [0.5] * 3},
    "clip_336": {
        "image_processor_type": "CLIPImageProcessor",
        "crop_size": {"height": 336, "width": 336},
        "size": {"shortest_edge": 336},
        **COMMON,
    },
    "clip_crop_beyond_size": {
        "image_processor_type": "CLIPImageProcessor",
        "crop_size": {"height": 41, "width": 41},
        "size": {"shortest_edge": 28},
        **COMMON,
    },
    "llava_pad_28": {
        "image_processor_type": "LlavaImageProcessor",
        "do_pad": True,
        "crop_size": {"height": 28, "width": 28},
        "size": {"shortest_edge": 28},
        **COMMON,
    },
}
CLASSES = {
    "LlavaNextImageProcessor": LlavaNextImageProcessorPil,
    "CLIPImageProcessor": CLIPImageProcessorPil,
    "LlavaImageProcessor": LlavaImageProcessorPil,
}


def formula(height, width):
    """The picture of tests/goldens/image_resize/generate.py."""
    y, x, c = np.ogrid[:height, :width, :3]
    return ((x * (5 + c) + y * (3 + 2 * c) + ((x * x + 3 * y * y + x * y) >> 5) + 60 * c) & 255).astype(np.uint8)


def crc(array):
    return f"{zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}"


def run(processor, image, **options):
    values = processor(image, return_tensors="np", **options)["pixel_values"]
    return values[0] if values.ndim == 5 else values


def resize_rows_first(image, size, resample=None, **options):
    """Image.resize as it was before Pillow 13, which begins with the columns of some pictures."""
    rows = resize_of_pillow(image, (size[0], image.height), resample)
    return resize_of_pillow(rows, size, resample)


resize_of_pillow = Image.Image.resize


def process(processor, image, **options):
    """uint8 tiles [n, S, S, 3] and float32 values [n, 3, S, S]."""
    image = image.convert("RGB")  # as the callers of the processors do
    tiles = run(processor, image, do_rescale=False, do_normalize=False, **options)
    assert tiles.dtype == np.uint8
    values = run(processor, image, **options)
    assert values.dtype == np.float32
    return tiles.transpose(0, 2, 3, 1), values


def fitted_height(size, config):
    best = select_best_resolution(size, config["image_grid_pinpoints"])
    return get_patch_output_size(np.empty((3, *size)), best, ChannelDimension.FIRST)[0]


def pictures():
    for height, width in SHAPES:
        yield {"size": [height, width]}, Image.fromarray(formula(height, width))
    for name in PICTURES:
        image = Image.open(FILES / name)
        yield {"file": name, "size": [image.height, image.width]}, image


class Slices:
    """Stands for a tensor [1, rows, columns] and keeps what is cut out of it."""

    def __init__(self, rows, columns):
        self.shape = (1, rows, columns)

    def __getitem__(self, index):
        return [range(size)[cut] for size, cut in zip(self.shape, index)][1:]


def layout(size, side, patches, pinpoints):
    """best h, w; first row, kept rows, first column, kept columns; tokens."""
    grid = modeling_llava_next.get_anyres_image_grid_shape(size, pinpoints, side)
    rows, columns = modeling_llava_next.unpad_image(Slices(grid[0] * patches, grid[1] * patches), size)
    tokens = patches * patches + len(rows) * (len(columns) + 1)
    return [grid[0] * side, grid[1] * side, rows.start, len(rows), columns.start, len(columns), tokens]


def layouts(rule):
    # The rule of 4.41 is the same function without the rounding.
    if rule == "4.41":
        modeling_llava_next.round = lambda value, digits: value
    pinpoints = CONFIGS["anyres_336"]["image_grid_pinpoints"]
    every = np.array(
        [layout((h, w), 336, 24, pinpoints) for h in range(1, 700) for w in range(1, 700)], dtype=np.int32
    )
    chosen = [(1, 1), (1, 200), (200, 1), (33, 57), (427, 640), (480, 640), (20, 3000), (3000, 20), (55, 176), (656, 205)]
    result = {
        "all_below_700_crc32": crc(every),
        "chosen": [{"size": list(size), "layout": layout(size, 336, 24, pinpoints)} for size in chosen],
    }
    if rule == "4.41":
        del modeling_llava_next.round
    else:
        for case in result["chosen"]:  # the processor counts tokens on its own
            processor = types.SimpleNamespace(
                image_processor=types.SimpleNamespace(image_grid_pinpoints=pinpoints),
                patch_size=14,
                num_additional_image_tokens=0,
            )
            processor._get_unpadded_features = types.MethodType(LlavaNextProcessor._get_unpadded_features, processor)
            count = LlavaNextProcessor._get_number_of_features(processor, *case["size"], 336, 336)
            assert count == case["layout"][-1], (case, count)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rule-4.41", dest="legacy", metavar="MODULE")
    legacy = parser.parse_args().legacy
    path = HERE / "golden.json"
    before = json.loads(path.read_text()) if path.exists() else {"cases": []}
    cases = []
    for config_name, config in CONFIGS.items():
        options = {k: v for k, v in config.items() if k != "image_processor_type"}
        kind = config["image_processor_type"]
        processors = {"current": CLASSES[kind](**options)}
        if legacy and kind == "LlavaNextImageProcessor" and "shortest_edge" in config["size"]:
            processors["4.41"] = importlib.import_module(legacy).LlavaNextImageProcessor(**options)
        for rule, processor in processors.items():
            Image.Image.resize = resize_rows_first if rule == "4.41" else resize_of_pillow
            for source, image in pictures():
                if kind != "LlavaNextImageProcessor" and max(source["size"]) > 100 * min(source["size"]):
                    continue  # thin lines would be blown up to gigabytes
                # 4.41 takes pictures of height 1 or 3 for channels-first: told at the beginning what
                # they are, it still pads the wrong sides of a resized one.
                extra = {"input_data_format": "channels_last"} if rule == "4.41" else {}
                if rule == "4.41" and fitted_height(source["size"], config) in (1, 3):
                    continue
                tiles, values = process(processor, image, **extra)
                case = {"config": config_name, "rule": rule, **source}
                case |= {"tiles": [crc(tile) for tile in tiles], "values": crc(values)}
                cases.append(case)
                if (config_name, rule, source["size"]) == ("anyres_28", "current", [427, 640]):
                    tiles.tofile(HERE / "anyres_28_427x640_tiles.bin")
                    values.tofile(HERE / "anyres_28_427x640_values.bin")
    if not legacy:
        cases += [case for case in before["cases"] if case["rule"] == "4.41"]
    golden = {
        "generator": "tests/goldens/image_tiles/generate.py",
        "command": "python3 tests/goldens/image_tiles/generate.py --rule-4.41 MODULE",
        "versions": {
            "Pillow": PIL.__version__,
            "Pillow (4.41)": PIL.__version__ + ", resizing the rows first, as all versions before 13",
            "numpy": np.__version__,
            "transformers (current)": transformers.__version__,
            "transformers (4.41)": "4.40.0.dev0 of 2024-03-24 (image processor only), whose padding is that of 4.41",
        },
        "seed": None,
        "dtype": "uint8 tiles, float32 values",
        "tolerance": "none: the tiles are integer arithmetic; each value is a product rounded to float32, one float32 "
        "subtraction and one division, which have one right result",
        "formula": "(x*(5+c) + y*(3+2c) + ((x*x + 3*y*y + x*y) >> 5) + 60*c) & 255",
        "configs": CONFIGS,
        "layouts": {rule: layouts(rule) for rule in ("current", "4.41")},
        "cases": cases,
    }
    path.write_text(json.dumps(golden, indent=None).replace('{"config"', '\n{"config"') + "\n")


if __name__ == "__main__":
    main()
