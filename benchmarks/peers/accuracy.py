#!/usr/bin/env python3
"""How far each precision is from fp32: cosines of the embeddings of random texts, and of pictures.

    e5v random-model --preset 1b --output /tmp/1b
    benchmarks/peers/accuracy.py --model /tmp/1b --precisions bf16 int8 int4 nf4
    benchmarks/peers/accuracy.py --model /tmp/1b --precisions int8 int4 --plant-outliers
    benchmarks/peers/accuracy.py --model /tmp/1b --precisions int4 --calibrate 300

--plant-outliers first writes a copy of the model with what large language models have and random weights lack: in each
layer four channels of the inputs of every product are 50 to 1000 times the others (the weights there make up for all but
a factor of 4), and the first token's state is 1000 times the rest in two channels. --calibrate adds a row: int4 rounded
for the states of so many other texts of the same kind (`e5v quantize --calibration`). Needs numpy.
"""

import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import numpy as np

LEFT_OVER = 4  # how much of an outlier the weights do not make up for
FACTORS = [50, 200, 500, 1000]


def texts(model, count, seed):
    """Texts of 6 to 20 of the tokenizer's own words."""
    vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
    words = sorted(word for word in vocabulary if word.isascii() and word.isalnum())
    draw = random.Random(seed)
    return [" ".join(draw.choice(words) for _ in range(draw.randint(6, 20))) for _ in range(count)]


class Safetensors:
    """The tensors of one file, to be changed in place; bfloat16 only."""

    def __init__(self, path):
        size = int(np.fromfile(path, "<u8", 1)[0])
        with open(path, "rb") as file:
            file.seek(8)
            self.header = json.loads(file.read(size))
        self.bytes = np.memmap(path, np.uint8, "r+", offset=8 + size)

    def scale(self, name, index, factor):
        """Multiplies one element, row or column; `index` is numpy's."""
        begin, end = self.header[name]["data_offsets"]
        values = self.bytes[begin:end].view("<u2").reshape(self.header[name]["shape"])
        wide = (values[index].astype(np.uint32) << 16).view(np.float32) * np.float32(factor)
        bits = wide.view(np.uint32)
        values[index] = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def plant_outliers(model, folder, bos):
    """The copy of the model with outliers, which have to be in one file of bfloat16."""
    shutil.copytree(model, folder)
    tensors = Safetensors(folder / "model.safetensors")
    prefix = next(n for n in tensors.header if n.endswith("embed_tokens.weight")).removesuffix("embed_tokens.weight")
    for channel in (3, 11):
        tensors.scale(f"{prefix}embed_tokens.weight", (slice(bos, bos + 1), slice(channel, channel + 1)), 1000)
    draw = random.Random(2)
    readers = {"input_layernorm": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
               "post_attention_layernorm": ["mlp.gate_proj", "mlp.up_proj"]}
    width = tensors.header[f"{prefix}norm.weight"]["shape"][0]
    layers = {n.removeprefix(f"{prefix}layers.").split(".")[0] for n in tensors.header if n.startswith(f"{prefix}layers.")}
    for layer in sorted(layers, key=int):
        at = f"{prefix}layers.{layer}."
        for norm, products in readers.items():
            for channel, factor in zip(draw.sample(range(width), len(FACTORS)), FACTORS):
                tensors.scale(f"{at}{norm}.weight", slice(channel, channel + 1), factor)
                for product in products:
                    tensors.scale(f"{at}{product}.weight", (slice(None), slice(channel, channel + 1)),
                                  LEFT_OVER / factor)
        inner = tensors.header[f"{at}mlp.down_proj.weight"]["shape"][1]
        for channel, factor in zip(draw.sample(range(inner), len(FACTORS)), FACTORS):
            tensors.scale(f"{at}mlp.up_proj.weight", (slice(channel, channel + 1), slice(None)), factor)
            tensors.scale(f"{at}mlp.down_proj.weight", (slice(None), slice(channel, channel + 1)), LEFT_OVER / factor)


def write_items(path, rows):
    path.write_text("".join(json.dumps({"id": str(i), **row}) + "\n" for i, row in enumerate(rows)))
    return path


def embed(e5v, model, items, precision, folder):
    output = folder / f"{precision}-{model.name}.npy"
    subprocess.run([e5v, "embed", "--quiet", "--model", str(model), "--input", str(items), "--output", str(output),
                    "--precision", precision], check=True)
    return np.load(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--e5v", default="build/release/e5v")
    parser.add_argument("--precisions", nargs="+", default=["bf16", "int8", "int4", "nf4"])
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--images", type=pathlib.Path, nargs="*", default=[], help="pictures beside the texts")
    parser.add_argument("--plant-outliers", action="store_true")
    parser.add_argument("--calibrate", type=int, default=0, metavar="TEXTS", help="a row of int4 calibrated with so many")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder, model = pathlib.Path(name), args.model
        if args.plant_outliers:
            model = folder / "planted"
            bos = json.loads((args.model / "config.json").read_text())["text_config"].get("bos_token_id", 1)
            plant_outliers(args.model, model, bos)
        rows = [{"text": text} for text in texts(args.model, args.texts, seed=1)]
        rows += [{"image": str(path.resolve())} for path in args.images]
        items = write_items(folder / "items.jsonl", rows)
        exact = embed(args.e5v, model, items, "fp32", folder)
        among = np.triu(exact @ exact.T, 1)[np.triu_indices(len(exact), 1)]
        print(f"{len(rows)} items; cosines of different ones in fp32: {among.min():.3f} to {among.max():.3f}")
        print("| precision | mean cosine with fp32 | smallest |\n|---|--:|--:|")

        def report(name, folder_of_weights, precision):
            cosines = np.sum(exact * embed(args.e5v, folder_of_weights, items, precision, folder), axis=1)
            print(f"| {name} | {cosines.mean():.5f} | {cosines.min():.5f} |")
            sys.stdout.flush()

        for precision in args.precisions:
            report(precision, model, precision)
        if args.calibrate:
            calibration = write_items(folder / "calibration.jsonl",
                                      [{"text": text} for text in texts(args.model, args.calibrate, seed=2)])
            subprocess.run([args.e5v, "quantize", "--model", str(model), "--precision", "int4", "--calibration",
                            str(calibration), "--output", str(folder / "calibrated")], check=True)
            report(f"int4, calibrated with {args.calibrate} texts", folder / "calibrated", "auto")


if __name__ == "__main__":
    main()
