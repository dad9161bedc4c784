"""Tiny LLaVA models: their configs, random weights, and every stage of the reference's forward.

Shared by the generators of this folder; needs the reference (torch, transformers, safetensors).
"""

import copy
import hashlib
import json
import platform
import re
from pathlib import Path

import numpy
import safetensors
import safetensors.torch
import torch
import transformers
from transformers import LlavaConfig, LlavaForConditionalGeneration
from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration

GOLDENS = Path(__file__).resolve().parent
torch.set_num_threads(1)  # one order of summation: the files come out byte for byte the same
torch.set_grad_enabled(False)

TILE = 24  # vision image_size; 6 x 6 patches of 4 pixels
PINPOINTS = [[24, 48], [48, 24], [48, 48], [72, 24], [24, 72]]
VOCAB = 160

# ---------------------------------------------------------------------------------- configs


def text_config(**fields):
    config = {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 48,
        "max_position_embeddings": 1024,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "vocab_size": VOCAB,
    }
    config.update(fields)
    return {key: value for key, value in config.items() if value != "absent"}


def vision_config(**fields):
    # hidden_act (quick_gelu) and layer_norm_eps (1e-5) are left to their defaults, as published.
    config = {
        "hidden_size": 32,
        "image_size": TILE,
        "intermediate_size": 48,
        "model_type": "clip_vision_model",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "patch_size": 4,
        "projection_dim": 16,
        "vocab_size": VOCAB,
    }
    config.update(fields)
    return config


def llava_config(text, vision, **fields):
    """The form that transformers 4.41 published."""
    config = {
        "architectures": ["LlavaNextForConditionalGeneration"],
        "ignore_index": -100,
        "image_grid_pinpoints": PINPOINTS,
        "image_token_index": VOCAB,
        "model_type": "llava_next",
        "projector_hidden_act": "gelu",
        "text_config": text,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.41.2",
        "use_image_newline_parameter": True,
        "vision_config": vision,
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    }
    config.update(fields)
    return {key: value for key, value in config.items() if value != "absent"}


def build(config):
    """The reference's model, in fp32, of a config in its published form."""
    kind = config["model_type"]
    config = {k: v for k, v in copy.deepcopy(config).items() if k not in ("torch_dtype", "transformers_version")}
    config["text_config"].pop("torch_dtype", None)
    config_class, model_class = {
        "llava_next": (LlavaNextConfig, LlavaNextForConditionalGeneration),
        "llava": (LlavaConfig, LlavaForConditionalGeneration),
    }[kind]
    reference_config = config_class.from_dict(config)
    reference_config._attn_implementation = "eager"
    return model_class(reference_config).eval().float()


# ---------------------------------------------------------------------------------- weights


VIT_KEYS = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def published_key(memory):
    """The key in the published layout of a key of the reference's state_dict()."""
    vit = re.match(r"^model\.vision_tower\.layers\.(\d+)\.(.*)\.(\w+)$", memory)
    if vit:  # transformers 5 has other names in memory than in files
        layer, module, parameter = vit.groups()
        return f"vision_tower.encoder.layer.{layer}.{VIT_KEYS.get(module, module)}.{parameter}"
    # SigLIP's and CLIP's own names stand behind `vision_model.`, which CLIP has lost in memory; ViT has none.
    tower = r"^model\.vision_tower\.(?:vision_model\.)?(?=embeddings\.(?:class|patch_embedding\.|position_embedding\.)|"
    tower += r"encoder\.layers\.|pre_layrnorm|post_layernorm|head\.)"
    for pattern, replacement in (
        (r"^lm_head\.", "language_model.lm_head."),
        (r"^model\.language_model\.", "language_model.model."),
        (tower, "vision_tower.vision_model."),
        (r"^model\.vision_tower\.", "vision_tower."),
        (r"^model\.(multi_modal_projector\.|image_newline$)", r"\1"),
    ):
        renamed = re.sub(pattern, replacement, memory)
        if renamed != memory:
            return renamed
    raise KeyError(memory)


def memory_keys(model):
    """{published key: key in state_dict()}"""
    return {published_key(key): key for key in model.state_dict()}


def published_shapes(model):
    """Shapes by published key, sorted; without a head that shares the embedding table."""
    tied = model.config.text_config.tie_word_embeddings
    return {
        published_key(name): tuple(value.shape)
        for name, value in sorted(model.state_dict().items(), key=lambda item: published_key(item[0]))
        if not (tied and name == "lm_head.weight")
    }


def random_weights(shapes, seed):
    """Weights under which a mistake shows: O(1) activations, peaked attention, small embeddings (so that the
    epsilons of the norms matter), projector inputs of about 2 (where the two GELUs differ most)."""
    weights = {}
    for name, shape in shapes.items():
        digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
        values = numpy.random.RandomState(int.from_bytes(digest[:4], "little")).standard_normal(shape)
        fan_in = numpy.prod(shape[1:]) if len(shape) > 1 else 1
        if "norm" in name.replace("image_newline", "") and name.endswith("weight"):
            values = 1.0 + 0.3 * values
        elif name.endswith("bias"):
            values = 0.2 * values
        elif re.search(r"embed_tokens|class_embedding|cls_token|position_embedding", name):
            values = 0.1 * values
        elif "patch_embedding" in name:
            values = 0.1 * values / numpy.sqrt(fan_in)
        elif name == "image_newline":
            values = 0.5 * values
        elif re.search(r"[qk]_proj|attention\.(query|key)", name):
            values = 1.5 * values / numpy.sqrt(fan_in)
        elif "linear_1" in name:
            values = 2.0 * values / numpy.sqrt(fan_in)
        else:
            values = values / numpy.sqrt(fan_in)
        weights[name] = torch.from_numpy(values.astype(numpy.float32))
    return weights


def load_weights(model, weights):
    keys = memory_keys(model)
    state = {keys[name]: value.float() for name, value in weights.items()}
    if "lm_head.weight" not in state:
        state["lm_head.weight"] = state["model.language_model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    return model


# ---------------------------------------------------------------------------------- inputs

# (height, width): which tiles and which unpadding each one asks for.
IMAGE_SIZES = {
    "square": (40, 40),  # [48, 48], nothing removed
    "rows": (30, 50),  # [48, 48], rows removed above and below
    "columns": (50, 31),  # [48, 48], columns removed
    "wide": (10, 40),  # [24, 72]
    "tall_line": (200, 1),  # no column left: one newline a row
    "wide_line": (1, 200),  # no row left: the base tile alone
}


def tile_count(image_size):
    from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

    return image_size_to_num_patches(list(image_size), PINPOINTS, TILE)


def random_images(names, seed, tiles=None):
    """fp16-representable values: stored in half the bytes, used in fp32."""
    images = {}
    for name in names:
        digest = hashlib.sha256(f"{seed} image {name}".encode()).digest()
        count = tiles or tile_count(IMAGE_SIZES[name])
        shape = (count, 3, TILE, TILE)
        values = numpy.random.RandomState(int.from_bytes(digest[:4], "little")).standard_normal(shape)
        images[name] = torch.from_numpy(values.astype(numpy.float16))
    return images


def make_items(image_token, full, seed):
    """Items as {name, input_ids, images}: input_ids hold the image token once per image."""
    random = numpy.random.RandomState(seed)

    def words(count):
        # Ids from 3 to 149: the image token of every variant is 150 or beyond.
        return random.randint(3, 150, count).tolist()

    def item(name, *parts):
        ids, images = [], []
        for part in parts:
            if isinstance(part, str):
                ids.append(image_token)
                images.append(part)
            else:
                ids.extend(part)
        return {"name": name, "input_ids": ids, "images": images}

    items = [
        item("text_one_token", [1]),
        item("text_short", [1], words(6)),
        item("text_long", [1], words(69)),
        item("composed", [1], words(5), "rows", words(9)),
    ]
    if full:
        items += [
            item("square", [1], words(4), "square", words(3)),
            item("columns", [1], words(4), "columns", words(3)),
            item("two_images", [1], words(2), "wide", words(3), "columns", words(4)),
            item("tall_line", [1], words(2), "tall_line", words(2)),
            item("wide_line", [1], words(2), "wide_line", words(2)),
            item("image_alone", "wide"),
        ]
    return items


# ---------------------------------------------------------------------------------- stages


def encode_image(model, pixel_values, image_size):
    """vision_features, projected, packed: the reference's modules, one stage at a time."""
    config = model.config
    tower = model.model.vision_tower(pixel_values, output_hidden_states=True)
    features = tower.hidden_states[config.vision_feature_layer]
    if config.vision_feature_select_strategy == "default":
        features = features[:, 1:]
    projected = model.model.multi_modal_projector(features)
    if config.model_type == "llava":
        packed = projected.flatten(0, 1)
    else:
        packed = model.model.pack_image_features(
            [projected],
            torch.tensor([image_size]),
            config.vision_feature_select_strategy,
            model.model.image_newline,
        )[0][0]
    return {"vision_features": features, "projected": projected, "packed": packed}


def splice(model, input_ids, packed):
    """inputs_embeds [T, D]: the image token is never looked up, since it may lie outside the table."""
    rows, packed = [], list(packed)
    table = model.get_input_embeddings().weight
    for token in input_ids:
        rows.append(packed.pop(0) if token == model.config.image_token_index else table[token][None])
    assert not packed
    return torch.cat(rows)


def run_text(model, inputs_embeds):
    """Hidden states after each layer (before the final norm), and the final, normed state of the last token."""
    states = []
    hooks = [
        layer.register_forward_hook(
            lambda module, arguments, output: states.append((output if torch.is_tensor(output) else output[0])[0])
        )
        for layer in model.model.language_model.layers
    ]
    output = model.model.language_model(inputs_embeds=inputs_embeds[None], use_cache=False)
    for hook in hooks:
        hook.remove()
    return states, output.last_hidden_state[0, -1]


def normalize(vector):
    return vector / vector.norm()


def run_items(model, items, images, dtype=torch.float32):
    """{image: stages}, {item: stages}"""
    image_stages = {
        name: encode_image(model, pixels.to(dtype), IMAGE_SIZES[name]) for name, pixels in images.items()
    }
    item_stages = {}
    for item in items:
        packed = [image_stages[name]["packed"] for name in item["images"]]
        inputs_embeds = splice(model, item["input_ids"], packed)
        states, last = run_text(model, inputs_embeds)
        item_stages[item["name"]] = {
            "inputs_embeds": inputs_embeds,
            **{f"hidden_states.{index + 1}": state for index, state in enumerate(states)},
            "last_hidden_state": last,
            "embedding": normalize(last.float()),
        }
    return image_stages, item_stages


# ---------------------------------------------------------------------------------- files

TOLERANCE = {
    "stages": {"absolute": 2e-5, "relative": 1e-5},
    "last_hidden_state": {"absolute": 5e-5, "relative": 0.0},
    "embedding": {"absolute": 1e-5, "relative": 0.0},
    "why": "fp32 on both sides; only the order of summation differs, which between independent implementations "
    "gave 4e-6 to 1.1e-5 on the last hidden state. 'sensitivity' has what the mistakes meant to be caught change.",
}


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "safetensors": safetensors.__version__,
        "numpy": numpy.__version__,
    }


def write_json(path, content):
    text = json.dumps(content, indent=2, ensure_ascii=False)
    # Short lists of numbers on one line: a golden's ids are read by people too.
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m[1]) + "]", text)
    path.write_text(text + "\n")


def write_tensors(path, tensors):
    path.write_bytes(safetensors.torch.save({name: t.contiguous().clone() for name, t in sorted(tensors.items())}))


def item_table(items, item_stages):
    return [{**item, "length": item_stages[item["name"]]["inputs_embeds"].shape[0]} for item in items]


def two_digits(value):
    return float(f"{float(value):.1e}")


def max_difference(a, b):
    return two_digits((a.float() - b.float()).abs().max()) if a.shape == b.shape else "another shape"
