#!/usr/bin/env python3
"""Reads a GGUF of make_gguf.py with transformers and compares it with the folder that it was made of: equal bits of
every tensor show that names and the order of q and k are llama.cpp's, as an independent reader understands them.

    python3 check_gguf.py MODEL_DIR 1b-BF16.gguf

Needs transformers and gguf, and memory for the language model in bfloat16 twice. MODEL_DIR holds one model.safetensors.
"""

import pathlib
import sys

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM
from transformers import modeling_gguf_pytorch_utils as gguf_utils


def main():
    folder, path = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    # Debian's package of gguf names no version, so that transformers takes it for missing.
    gguf_utils.is_gguf_available = lambda *_: True
    model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.bfloat16)
    read = model.state_dict()
    differ, compared = [], 0
    with safe_open(folder / "model.safetensors", "pt") as stored:
        for key in stored.keys():
            name = key.removeprefix("language_model.")
            if name == key:
                continue
            compared += 1
            if not torch.equal(read[name], stored.get_tensor(key)):
                differ.append(name)
    print(f"{compared} tensors compared, {len(differ)} differ{': ' if differ else ''}{', '.join(differ[:5])}")
    sys.exit(1 if differ or not compared else 0)


if __name__ == "__main__":
    main()
