"""Tiny LLaVA models of every supported variant, with the reference's result at every stage.

    python3 tests/goldens/generate_models.py [NAME ...]

writes tests/goldens/model_*/ (all of them, or those named). See README.md beside this file.
"""

import copy
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch

from tiny_llava import *

LLAMA = text_config()
VISION = vision_config()

# name: config, seed, whether all items and stages are kept, and where weights come from if not drawn.
VARIANTS = {
    # Llama-3 style: grouped queries, theta 500000, `<image>` just outside the embedding table.
    "model_llama": {"config": llava_config(LLAMA, VISION), "seed": 1, "full": True},
    # Mistral: head_dim given and unlike hidden_size / heads, a window that is set but never reached,
    # `<image>` inside the table.
    "model_mistral": {
        "config": llava_config(
            text_config(
                architectures=["MistralForCausalLM"],
                model_type="mistral",
                head_dim=12,
                rope_theta=1000000.0,
                sliding_window=4096,
                rms_norm_eps=1e-6,
            ),
            VISION,
            image_token_index=150,
        ),
        "seed": 2,
        "full": True,
    },
    # Vicuna: as many key heads as heads and theta 10000, both left to their defaults; a padded table.
    "model_vicuna": {
        "config": llava_config(
            text_config(num_key_value_heads="absent", rope_theta="absent", pad_token_id=151, vocab_size=192),
            VISION,
            image_token_index=150,
        ),
        "seed": 3,
        "full": True,
    },
    # LLaVA-1.5: one tile, no newline, no pinpoints.
    "model_llava15": {
        "config": llava_config(
            text_config(num_key_value_heads="absent", rope_theta="absent"),
            VISION,
            architectures=["LlavaForConditionalGeneration"],
            model_type="llava",
            image_grid_pinpoints="absent",
            use_image_newline_parameter="absent",
            image_token_index=150,
        ),
        "seed": 4,
        "full": False,
        "tiles": 1,
    },
    # Llama-3.1's frequencies; the original length is short enough for all three bands to occur.
    "model_rope_llama3": {
        "config": llava_config(
            text_config(
                rope_scaling={
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64,
                    "rope_type": "llama3",
                }
            ),
            VISION,
        ),
        "weights": "model_llama",
        "full": False,
    },
    "model_rope_linear": {
        "config": llava_config(text_config(rope_scaling={"factor": 4.0, "type": "linear"}), VISION),
        "weights": "model_llama",
        "full": False,
    },
    # The class token is kept. The reference cannot pack anyres tiles that have one, so: LLaVA-1.5.
    "model_select_full": {
        "config": llava_config(
            text_config(num_key_value_heads="absent", rope_theta="absent"),
            VISION,
            architectures=["LlavaForConditionalGeneration"],
            model_type="llava",
            image_grid_pinpoints="absent",
            use_image_newline_parameter="absent",
            image_token_index=150,
            vision_feature_select_strategy="full",
        ),
        "weights": "model_llava15",
        "full": False,
        "tiles": 1,
    },
    # Qwen2: biases on query, key and value only.
    "model_qwen2": {
        "config": llava_config(
            text_config(
                architectures=["Qwen2ForCausalLM"], model_type="qwen2", use_sliding_window=False, rms_norm_eps=1e-6
            ),
            VISION,
        ),
        "seed": 5,
        "full": False,
    },
    # Everything optional turned over: biases in the text layers, none in the projector, tied
    # embeddings, the exact GELU in the tower, the tanh form in the projector, the last layer's features.
    "model_options": {
        "config": llava_config(
            text_config(attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
            vision_config(hidden_act="gelu", layer_norm_eps=1e-6),
            multimodal_projector_bias=False,
            projector_hidden_act="gelu_pytorch_tanh",
            tie_word_embeddings=True,
            vision_feature_layer=-1,
        ),
        "seed": 6,
        "full": False,
    },
    # SigLIP's tower: no class token, a bias on the patches, no norm before the layers; in AnyRes tiles.
    "model_siglip": {
        "config": llava_config(
            LLAMA,
            vision_config(model_type="siglip_vision_model"),
            vision_feature_select_strategy="full",
        ),
        "seed": 8,
        "full": False,
    },
    # ViT's tower, as of DeiT: a class token that is dropped, erf GELU, eps 1e-12, names of its own.
    "model_vit": {
        "config": llava_config(
            text_config(num_key_value_heads="absent", rope_theta="absent"),
            vision_config(model_type="vit"),
            architectures=["LlavaForConditionalGeneration"],
            model_type="llava",
            image_grid_pinpoints="absent",
            use_image_newline_parameter="absent",
            image_token_index=150,
        ),
        "seed": 9,
        "full": False,
        "tiles": 1,
    },
    "model_llama_fp16": {
        "config": llava_config(text_config(torch_dtype="float16"), VISION, torch_dtype="float16"),
        "round_weights_of": "model_llama",
        "dtype": torch.float16,
        "full": True,
    },
    "model_llama_bf16": {
        "config": llava_config(text_config(torch_dtype="bfloat16"), VISION, torch_dtype="bfloat16"),
        "round_weights_of": "model_llama",
        "dtype": torch.bfloat16,
        "full": True,
    },
}


def weights_of(name):
    variant = VARIANTS[name]
    if "weights" in variant:
        return weights_of(variant["weights"])
    if "round_weights_of" in variant:
        weights = weights_of(variant["round_weights_of"])
        return {key: value.to(variant["dtype"]) for key, value in weights.items()}
    return random_weights(published_shapes(build(variant["config"])), variant["seed"])


def inputs_of(name):
    """(items, images, the variant whose inputs these are)"""
    variant = VARIANTS[name]
    owner = variant.get("round_weights_of", name)
    config, seed, full = variant["config"], VARIANTS[owner].get("seed", 7), variant["full"]
    items = make_items(config["image_token_index"], full, seed)
    names = [image for image in IMAGE_SIZES if any(image in item["images"] for item in items)]
    return items, random_images(names, seed, variant.get("tiles")), owner


def kept_stages(image_stages, item_stages, full, last_only):
    """What goes into expected.safetensors: enough to find a mistake's stage, few enough bytes to commit."""
    tensors = {}
    for image, stages in image_stages.items():
        if last_only:
            continue
        for stage, value in stages.items():
            if stage == "packed" or image == "rows":
                tensors[f"image.{image}.{stage}"] = value
    for item, stages in item_stages.items():
        everything = not last_only and item in ("text_one_token", "text_short", "text_long", "composed")
        for stage, value in stages.items():
            if not everything and stage not in ("last_hidden_state", "embedding"):
                continue
            if not full and item == "composed" and stage == "inputs_embeds":
                continue  # rows of the table and image.rows.packed, both already there
            tensors[f"item.{item}.{stage}"] = value
    return tensors


def mistakes(config):
    """Configs and patches that a wrong implementation amounts to."""

    def changed(part, **fields):
        copied = copy.deepcopy(config)
        (copied[part] if part else copied).update(fields)
        return copied

    text, vision = config["text_config"], config["vision_config"]
    other_eps = 1e-6 if text["rms_norm_eps"] == 1e-5 else 1e-5
    tanh = config["projector_hidden_act"] == "gelu_pytorch_tanh"
    towers = {"siglip_vision_model": "gelu_pytorch_tanh", "vit": "gelu"}
    tower_act = vision.get("hidden_act", towers.get(vision["model_type"], "quick_gelu"))
    default_eps = {"siglip_vision_model": 1e-6, "vit": 1e-12}.get(vision["model_type"], 1e-5)
    tower_eps = vision.get("layer_norm_eps", default_eps)
    wrong_eps = 1e-5 if tower_eps == 1e-6 else 1e-6
    other_act = {"gelu": "quick_gelu", "quick_gelu": "gelu", "gelu_pytorch_tanh": "gelu"}[tower_act]
    cases = {
        "the projector's other GELU (tanh for erf)": changed(
            None, projector_hidden_act="gelu" if tanh else "gelu_pytorch_tanh"
        ),
        f"vision {other_act} for {tower_act}": changed("vision_config", hidden_act=other_act),
        f"vision layer_norm_eps {wrong_eps} for {tower_eps}": changed("vision_config", layer_norm_eps=wrong_eps),
        "rms_norm_eps 1e-6 for 1e-5": changed("text_config", rms_norm_eps=other_eps),
        "rope_theta 20000": changed("text_config", rope_theta=20000.0),
        "the neighbouring vision layer": changed(
            None, vision_feature_layer=-1 if config["vision_feature_layer"] == -2 else -2
        ),
    }
    if "rope_scaling" in text:
        cases["rope_scaling ignored"] = changed("text_config", rope_scaling=None)
    return cases


def sensitivity(config, weights, items, images, reference):
    """Greatest change of the packed features and of the composed item's and long text's last state, by mistake."""
    image_stages, item_stages = reference
    report = {}

    def compare(mistake, other_images, other_items):
        report[mistake] = {
            "packed": max_difference(image_stages["rows"]["packed"], other_images["rows"]["packed"]),
            **{
                f"{item} last_hidden_state": max_difference(
                    item_stages[item]["last_hidden_state"], other_items[item]["last_hidden_state"]
                )
                for item in ("text_long", "composed")
            },
        }

    for mistake, wrong in mistakes(config).items():
        compare(mistake, *run_items(load_weights(build(wrong), weights), items, images))
    without_norm = {
        item: {**stages, "last_hidden_state": stages[max(s for s in stages if s.startswith("hidden_states"))][-1]}
        for item, stages in item_stages.items()
    }
    compare("no final norm", image_stages, without_norm)
    return report


def check_reference_reads(folder, model):
    """The published layout and config are what the reference itself takes them for."""
    loaded, info = type(model).from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], (folder, kind, info[kind])
    expected = model.state_dict()
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, expected[key]), (folder, key)


def keys_by_layout(model):
    """The keys of one model in the four layouts in circulation, line by line the same tensor."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        saved = set(safetensors.torch.load_file(Path(folder) / "model.safetensors"))
    memory = sorted(model.state_dict(), key=published_key)
    published = [published_key(key) for key in memory]
    # transformers 5 removes `vision_model.` when it loads and does not put it back when it saves.
    saved_5 = [key.replace("vision_tower.vision_model.", "vision_tower.") for key in published]
    assert set(saved_5) == saved, saved ^ set(saved_5)
    # 4.52 to 4.57 in memory: as 5.x, before CLIP lost its inner `vision_model`.
    memory_4_52 = [key.replace("model.vision_tower.", "model.vision_tower.vision_model.") for key in memory]
    return {
        "keys_published.txt": published,
        "keys_4_52.txt": memory_4_52,
        "keys_5x_memory.txt": memory,
        "keys_5x_saved.txt": saved_5,
    }


def generate(name):
    variant = VARIANTS[name]
    folder = GOLDENS / name
    folder.mkdir(exist_ok=True)
    config, dtype = variant["config"], variant.get("dtype", torch.float32)
    weights = weights_of(name)
    items, images, inputs_owner = inputs_of(name)
    model = load_weights(build(config), weights)
    image_stages, item_stages = run_items(model, items, images)

    write_json(folder / "config.json", config)
    with tempfile.TemporaryDirectory() as saved:
        model.to(dtype).save_pretrained(saved)
        write_json(folder / "config_5x.json", json.loads((Path(saved) / "config.json").read_text()))
        model.float()
    with tempfile.TemporaryDirectory() as published:
        write_json(Path(published) / "config.json", config)
        safetensors.torch.save_file(weights, Path(published) / "model.safetensors", {"format": "pt"})
        check_reference_reads(published, model)

    golden = {
        "generator": f"python3 tests/goldens/generate_models.py {name}",
        "versions": versions(),
        "seed": VARIANTS[inputs_owner].get("seed", 7),
        "weights_dtype": str(dtype).removeprefix("torch."),
        "computed_in": "float32, eager attention, one thread",
        "files": {},
        "tolerance": TOLERANCE,
        "image_sizes": {image: list(IMAGE_SIZES[image]) for image in images},
        "items": item_table(items, item_stages),
    }
    if "weights" in variant:
        golden["files"]["model.safetensors"] = f"{variant['weights']}/model.safetensors"
    else:
        write_tensors(folder / "model.safetensors", weights)
    if inputs_owner != name:
        golden["files"]["inputs.safetensors"] = f"{inputs_owner}/inputs.safetensors"
    else:
        inputs = {f"image.{image}.pixel_values": pixels for image, pixels in images.items()}
        inputs.update({f"image.{image}.image_size": torch.tensor(IMAGE_SIZES[image]) for image in images})
        inputs.update({f"item.{item['name']}.input_ids": torch.tensor(item["input_ids"]) for item in items})
        write_tensors(folder / "inputs.safetensors", inputs)

    if dtype == torch.float32:
        golden["sensitivity"] = sensitivity(config, weights, items, images, (image_stages, item_stages))
    else:
        low = load_weights(build(config), weights).to(dtype)
        _, low_items = run_items(low, items, images, dtype)
        golden["tolerance"] = {
            **TOLERANCE,
            "why": "The weights are rounded, the expected values are computed in fp32 on the rounded weights, so an "
            "fp32 computation must agree as closely as with fp32 weights. 'reference_cosine' is for information: the "
            f"reference's own run in {golden['weights_dtype']} against these values.",
        }
        golden["reference_cosine"] = {
            item: round(float(stages["embedding"] @ low_items[item]["embedding"]), 6)
            for item, stages in item_stages.items()
        }
    write_tensors(
        folder / "expected.safetensors",
        kept_stages(image_stages, item_stages, variant["full"], last_only=dtype != torch.float32),
    )
    if name == "model_llama":
        for file, keys in keys_by_layout(model).items():
            (folder / file).write_text("".join(key + "\n" for key in keys))
    write_json(folder / "golden.json", golden)
    print(name, {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()})
    print("   ", golden.get("sensitivity") or golden["reference_cosine"])


if __name__ == "__main__":
    for wanted in sys.argv[1:] or VARIANTS:
        generate(wanted)
