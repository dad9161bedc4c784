"""LoRA adapters for model_llama in PEFT's files, with the reference's result once they are merged.

    python3 tests/goldens/generate_adapters.py

writes tests/goldens/model_llama_lora/. The peft library is not needed: a merged weight is W + scale B A.
"""

import hashlib
import math
import re

import numpy
import torch

from generate_models import VARIANTS, inputs_of, weights_of
from tiny_llava import *

FOLDER = GOLDENS / "model_llama_lora"
TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapter_config(**fields):
    """As peft 0.11 writes it."""
    config = {
        "alpha_pattern": {},
        "auto_mapping": None,
        "base_model_name_or_path": "model_llama",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "layer_replication": None,
        "layers_pattern": None,
        "layers_to_transform": None,
        "loftq_config": {},
        "lora_alpha": 8,
        "lora_dropout": 0.05,
        "megatron_config": None,
        "megatron_core": "megatron.core",
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": 4,
        "rank_pattern": {},
        "revision": None,
        "target_modules": TEXT_TARGETS,
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    config.update(fields)
    return config


def pattern_value(pattern, module, fallback):
    """PEFT's patterns are regular expressions for the end of a module's name."""
    return next((v for key, v in pattern.items() if re.match(rf"(.*\.)?({key})$", module)), fallback)


def rank_and_scale(config, module):
    rank = pattern_value(config["rank_pattern"], module, config["r"])
    alpha = pattern_value(config["alpha_pattern"], module, config["lora_alpha"])
    return rank, alpha / (math.sqrt(rank) if config["use_rslora"] else rank)


def random_adapter(config, weights, targeted, seed):
    """{published module name: (A [rank, in], B [out, rank])}"""
    adapter = {}
    for name, weight in weights.items():
        module = name.removesuffix(".weight")
        if weight.dim() != 2 or not targeted(module):
            continue
        rank, _ = rank_and_scale(config, module)
        digest = hashlib.sha256(f"{seed} {module}".encode()).digest()
        random = numpy.random.RandomState(int.from_bytes(digest[:4], "little"))
        a = random.standard_normal((rank, weight.shape[1])) / math.sqrt(weight.shape[1])
        b = 0.3 * random.standard_normal((weight.shape[0], rank)) / math.sqrt(rank)
        adapter[module] = tuple(torch.from_numpy(x.astype(numpy.float32)) for x in (a, b))
    return adapter


def merge(weights, config, adapter):
    merged = dict(weights)
    for module, (a, b) in adapter.items():
        merged[f"{module}.weight"] = weights[f"{module}.weight"] + rank_and_scale(config, module)[1] * (b @ a)
    return merged


def write_adapter(name, config, adapter, rename):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    write_json(folder / "adapter_config.json", config)
    tensors = {}
    for module, (a, b) in adapter.items():
        tensors[f"base_model.model.{rename(module)}.lora_A.weight"] = a
        tensors[f"base_model.model.{rename(module)}.lora_B.weight"] = b
    write_tensors(folder / "adapter_model.safetensors", tensors)


def text_target(module):
    return module.startswith("language_model.model.") and module.rsplit(".", 1)[-1] in TEXT_TARGETS


def main():
    FOLDER.mkdir(exist_ok=True)
    base = VARIANTS["model_llama"]["config"]
    weights = weights_of("model_llama")
    items, images, _ = inputs_of("model_llama")
    items = [item for item in items if item["name"] in ("text_short", "text_long", "composed")]
    images = {name: images[name] for name in ("rows",)}

    # One adapter, saved against the whole published model, against the language model alone (as E5-V's
    # training does), and against transformers >= 4.52.
    plain_config = adapter_config()
    plain = random_adapter(plain_config, weights, text_target, seed=11)
    write_adapter("adapter_published", plain_config, plain, lambda module: module)
    write_adapter("adapter_text_model", plain_config, plain, lambda module: module.removeprefix("language_model."))
    write_adapter(
        "adapter_4_52",
        plain_config,
        plain,
        lambda module: module.replace("language_model.model.", "model.language_model."),
    )
    # A list of targets is matched everywhere: the tower's q_proj and v_proj too. Ranks and alphas of their
    # own, and the scale alpha / sqrt(r).
    pattern_config = adapter_config(
        target_modules=["q_proj", "v_proj", "linear_1"],
        use_rslora=True,
        rank_pattern={"layers.1.self_attn.q_proj": 2, "linear_1": 6},
        alpha_pattern={"v_proj": 4},
    )
    patterns = random_adapter(
        pattern_config,
        weights,
        lambda module: module.rsplit(".", 1)[-1] in pattern_config["target_modules"],
        seed=12,
    )
    write_adapter("adapter_patterns", pattern_config, patterns, lambda module: module)

    expected, report = {}, {}
    _, unadapted = run_items(load_weights(build(base), weights), items, images)
    for name, config, adapter in (("plain", plain_config, plain), ("patterns", pattern_config, patterns)):
        model = load_weights(build(base), merge(weights, config, adapter))
        _, adapted = run_items(model, items, images)
        for item, stages in adapted.items():
            for stage in ("last_hidden_state", "embedding"):
                expected[f"{name}.{item}.{stage}"] = stages[stage]
        wrong = {**config, "use_rslora": not config["use_rslora"], "rank_pattern": {}, "alpha_pattern": {}}
        _, wrong_scale = run_items(load_weights(build(base), merge(weights, wrong, adapter)), items, images)
        report[name] = {
            item: {
                "without the adapter": max_difference(
                    unadapted[item]["last_hidden_state"], adapted[item]["last_hidden_state"]
                ),
                "with another scale": max_difference(
                    wrong_scale[item]["last_hidden_state"], adapted[item]["last_hidden_state"]
                ),
            }
            for item in adapted
        }
    write_tensors(FOLDER / "expected.safetensors", expected)
    write_json(
        FOLDER / "golden.json",
        {
            "generator": "python3 tests/goldens/generate_adapters.py",
            "versions": versions(),
            "seed": {"plain": 11, "patterns": 12},
            "weights_dtype": "float32",
            "computed_in": "float32, eager attention, one thread; W + scale B A merged beforehand",
            "files": {
                file: f"model_llama/{file}"
                for file in ("config.json", "config_5x.json", "model.safetensors", "inputs.safetensors")
            },
            "tolerance": TOLERANCE,
            "adapters": {
                "adapter_published": "plain",
                "adapter_text_model": "plain",
                "adapter_4_52": "plain",
                "adapter_patterns": "patterns",
            },
            "image_sizes": {image: list(IMAGE_SIZES[image]) for image in images},
            "items": item_table(items, unadapted),
            "sensitivity": report,
        },
    )
    print(report)


if __name__ == "__main__":
    main()
