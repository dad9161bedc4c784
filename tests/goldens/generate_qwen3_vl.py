"""Tiny Qwen3-VL models as whole folders, pictures and texts for them, and the reference's result at every stage.

    python3 tests/goldens/generate_qwen3_vl.py [NAME ...]

writes tests/goldens/model_qwen3_vl*/ (both, or those named). See README.md beside this file.
"""

import copy
import sys

import jinja2
import numpy
import PIL
import tokenizers
import torch
from PIL import Image
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tiny_llava import GOLDENS, TOLERANCE, hashlib, json, versions, write_json, write_tensors

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = """A brown dog runs through the deep snow. Two children play with a red ball in the park.
Represent the user's input. Retrieve images or text relevant to the user's query.
system user assistant Summary above sentence in one word: Summary above image in one word:"""
CONTROL = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>"),
]
NUM_TEXT_TOKENS = 256 + 18
VOCAB = 288
IMAGE_PAD = NUM_TEXT_TOKENS + CONTROL.index("<|image_pad|>")
IMG = "<|vision_start|><|image_pad|><|vision_end|>"

VARIANTS = {
    # As published: rope_theta and rope_scaling beside each other, a head of its own, one more layer than DeepStack
    # has features, the embedding models' own chat template.
    "model_qwen3_vl": {
        "seed": 31,
        "config": {
            "architectures": ["Qwen3VLForConditionalGeneration"],
            "dtype": "bfloat16",
            "image_token_id": IMAGE_PAD,
            "model_type": "qwen3_vl",
            "text_config": {
                "attention_bias": False,
                "head_dim": 16,
                "hidden_act": "silu",
                "hidden_size": 32,
                "intermediate_size": 48,
                "max_position_embeddings": 4096,
                "model_type": "qwen3_vl_text",
                "num_attention_heads": 4,
                "num_hidden_layers": 4,
                "num_key_value_heads": 2,
                "rms_norm_eps": 1e-06,
                "rope_scaling": {"mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"},
                "rope_theta": 5000,
                "vocab_size": VOCAB,
            },
            "tie_word_embeddings": False,
            "transformers_version": "4.57.1",
            "video_token_id": IMAGE_PAD + 1,
            "vision_config": {
                "deepstack_visual_indexes": [0, 2, 3],
                "depth": 4,
                "hidden_act": "gelu_pytorch_tanh",
                "hidden_size": 16,
                "in_channels": 3,
                "intermediate_size": 32,
                "model_type": "qwen3_vl",
                "num_heads": 2,
                "num_position_embeddings": 36,
                "out_hidden_size": 32,
                "patch_size": 4,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
            },
            "vision_end_token_id": IMAGE_PAD - 2,
            "vision_start_token_id": IMAGE_PAD - 3,
        },
        "template": "embedding",
    },
    # As transformers 5 saves: rope_parameters, a vision model_type of its own, tied; heads that are not hidden_size,
    # biases, a feature for every layer, sections that do not divide evenly; no chat template.
    "model_qwen3_vl_5x": {
        "seed": 32,
        "config": {
            "architectures": ["Qwen3VLForConditionalGeneration"],
            "dtype": "bfloat16",
            "image_token_id": IMAGE_PAD,
            "model_type": "qwen3_vl",
            "text_config": {
                "attention_bias": True,
                "head_dim": 20,
                "hidden_act": "silu",
                "hidden_size": 24,
                "intermediate_size": 40,
                "max_position_embeddings": 4096,
                "model_type": "qwen3_vl_text",
                "num_attention_heads": 2,
                "num_hidden_layers": 3,
                "num_key_value_heads": 1,
                "rms_norm_eps": 1e-05,
                "rope_parameters": {"mrope_section": [5, 3, 2], "rope_theta": 20000.0, "rope_type": "default"},
                "vocab_size": VOCAB,
            },
            "tie_word_embeddings": True,
            "video_token_id": IMAGE_PAD + 1,
            "vision_config": {
                "deepstack_visual_indexes": [1, 2, 3],
                "depth": 5,
                "hidden_act": "gelu_pytorch_tanh",
                "hidden_size": 24,
                "in_channels": 3,
                "intermediate_size": 20,
                "model_type": "qwen3_vl_vision",
                "num_heads": 3,
                "num_position_embeddings": 16,
                "out_hidden_size": 24,
                "patch_size": 4,
                "rope_parameters": {"rope_theta": 400.0, "rope_type": "axial"},
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
            },
            "vision_end_token_id": IMAGE_PAD - 2,
            "vision_start_token_id": IMAGE_PAD - 3,
        },
        "template": "chatml",
    },
}

PREPROCESSOR = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "Qwen2VLImageProcessorFast",
    "image_std": [0.5, 0.5, 0.5],
    "merge_size": 2,
    "patch_size": 4,
    "processor_class": "Qwen3VLProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"longest_edge": 4096, "shortest_edge": 256},
    "temporal_patch_size": 2,
}

# Width and height of what draw() draws.
DRAWN = {
    "1x200": (1, 200),
    "57x33": (57, 33),
    "900x300": (900, 300),
    "640x480": (640, 480),
    "4000x30": (4000, 30),
    "64x40": (64, 40),
}
FILES = {"gray": "gray.png", "alpha": "alpha.png"}


def draw(width, height):
    """[height, width, 3] uint8, by a formula that the tests have, too."""
    y, x, c = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(3), indexing="ij")
    value = x * x * (3 + c) + y * y * 5 + x * y * 7 + 40 * c * (x + y) + ((x ^ y) & 31) * 11
    return ((value >> 3) & 255).astype(numpy.uint8)


def write_pictures(folder):
    drawn = draw(41, 30)
    Image.fromarray(drawn[..., 0], "L").save(folder / FILES["gray"])
    alpha = ((drawn[..., 1].astype(int) * 5) & 255).astype(numpy.uint8)
    Image.fromarray(numpy.dstack([drawn, alpha]), "RGBA").save(folder / FILES["alpha"])


def load_picture(folder, name):
    if name in FILES:
        return Image.open(folder / FILES[name]).convert("RGB")
    return Image.fromarray(draw(*DRAWN[name]))


# ---------------------------------------------------------------------------------- folder


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=NUM_TEXT_TOKENS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in CONTROL])
    assert tokenizer.token_to_id("<|image_pad|>") == IMAGE_PAD
    return tokenizer


def random_weights(model, seed):
    """bfloat16 values under which a mistake shows: O(1) activations, peaked attention, large positions."""
    tied = model.config.tie_word_embeddings
    weights = {}
    for name, value in sorted(model.state_dict().items()):
        if tied and name == "lm_head.weight":
            continue
        shape = tuple(value.shape)
        digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
        values = numpy.random.RandomState(int.from_bytes(digest[:4], "little")).standard_normal(shape)
        fan_in = numpy.prod(shape[1:]) if len(shape) > 1 else 1
        if "norm" in name and name.endswith("weight"):
            values = (1.6 if "q_norm" in name or "k_norm" in name else 1.0) + 0.3 * values
        elif name.endswith("bias"):
            values = 0.2 * values
        elif "embed_tokens" in name:
            values = 0.1 * values
        elif "pos_embed" in name:
            values = 0.7 * values
        elif "attn.qkv" in name:
            values = 1.5 * values / numpy.sqrt(fan_in)
        elif "patch_embed" in name:
            values = 2.0 * values / numpy.sqrt(fan_in)
        else:
            values = values / numpy.sqrt(fan_in)
        weights[name] = torch.from_numpy(values.astype(numpy.float32)).to(torch.bfloat16)
    return weights


def build(config):
    reference = Qwen3VLConfig.from_dict({k: v for k, v in copy.deepcopy(config).items() if k != "dtype"})
    reference._attn_implementation = "eager"
    return Qwen3VLForConditionalGeneration(reference).eval().float()


# ---------------------------------------------------------------------------------- items


def make_items(template):
    """{name, text, images, prompt}: the prompt is empty where the model's own is meant."""

    def item(name, text, *images, prompt=""):
        return {"name": name, "text": text, "images": list(images), "prompt": prompt}

    long = "Two children play with a red ball in the park. " * 3 + "A brown dog runs 12 times through\n\nthe snow."
    items = [
        item("text_short", "a dog"),
        item("text_long", long),
        item("57x33", "", "57x33"),
        item("640x480", "", "640x480"),
    ]
    if template == "embedding":
        items += [item(name, "", name) for name in ("1x200", "900x300", "4000x30", "gray", "alpha")]
        items += [
            item("composed", "the same in the snow", "57x33"),
            item("two_pictures", "which is red?", "57x33", "64x40"),
            item("pictures_apart", "now", "64x40", "57x33", prompt="first <image> then <image> <sent>"),
        ]
    else:
        items += [item("two_pictures", "now", "57x33", "64x40", prompt="first <image> then <image> <sent>")]
    return items


def render(item, template, folder):
    if item["prompt"]:
        text = item["prompt"].replace("<image>", IMG).replace("<sent>", item["text"])
    elif template == "embedding":
        content = [{"type": "image"}] * len(item["images"])
        if item["text"]:
            content = content + [{"type": "text", "text": item["text"]}]
        jinja = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(
            (folder / "chat_template.jinja").read_text()
        )
        text = jinja.render(messages=[{"role": "user", "content": content}], add_generation_prompt=True)
    else:
        body = f"{item['text']}\nSummary above sentence in one word:" if item["text"] else (
            IMG + "\nSummary above image in one word:"
        )
        text = f"<|im_start|>user\n{body}<|im_end|>\n<|im_start|>assistant\n"
    return text


def expand(ids, grids):
    """Each placeholder as many times as the picture has cells."""
    grids = list(grids)
    expanded = []
    for token in ids:
        count = 1
        if token == IMAGE_PAD:
            _, height, width = grids.pop(0)
            count = height * width // 4
        expanded += [token] * count
    assert not grids
    return expanded


# ---------------------------------------------------------------------------------- stages


def run_tower(model, pixel_values, grid):
    stages, hooks = {}, []
    tower = model.model.visual
    first = lambda output: output if torch.is_tensor(output) else output[0]

    def keep(module, name):
        hooks.append(module.register_forward_hook(lambda m, a, output: stages.update({name: first(output).clone()})))

    def keep_input(module, arguments):
        stages["states.0"] = arguments[0].clone()

    hooks.append(tower.blocks[0].register_forward_pre_hook(keep_input))
    for index, block in enumerate(tower.blocks):
        keep(block, f"states.{index + 1}")
    for index, merger in enumerate(tower.deepstack_merger_list):
        keep(merger, f"deepstack.{index}")
    keep(tower.merger, "features")
    tower(pixel_values, torch.tensor([grid]))
    for hook in hooks:
        hook.remove()
    return stages


def run_item(model, ids, pixels, grids, with_gradients):
    """Each layer's states with what DeepStack adds behind it, the last token's state, the position ids."""
    states = []
    language_model = model.model.language_model
    modules = [*language_model.layers[1:], language_model.norm]
    hooks = [
        module.register_forward_pre_hook(
            lambda m, arguments, keywords: states.append((arguments[0] if arguments else keywords["hidden_states"])[0]),
            with_kwargs=True,
        )
        for module in modules
    ]
    input_ids = torch.tensor([ids])
    kinds = (input_ids == IMAGE_PAD).int()
    arguments = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
    position_ids = torch.arange(len(ids)).expand(3, -1)
    if pixels:
        arguments.update(
            pixel_values=torch.cat(pixels), image_grid_thw=torch.tensor(grids), mm_token_type_ids=kinds
        )
        position_ids = model.model.get_rope_index(input_ids, kinds, torch.tensor(grids))[0][:, 0]
    output = model.model(**arguments, use_cache=False)
    for hook in hooks:
        hook.remove()
    return {
        **{f"hidden_states.{index + 1}": state for index, state in enumerate(states)},
        "last_hidden_state": output.last_hidden_state[0, -1],
        "position_ids": position_ids,
        **(gradients(model, arguments) if with_gradients else {}),
    }


# Whose gradients are kept, by what ends their names: each kind of product, first and last layers.
WITH_GRADIENT = (
    *("layers.0.self_attn.q_proj.weight", "layers.0.self_attn.k_proj.weight", "layers.1.mlp.down_proj.weight"),
    *("layers.1.self_attn.v_proj.weight", "layers.2.self_attn.o_proj.weight", "layers.2.mlp.gate_proj.weight"),
)


def gradients(model, arguments):
    """Of the sum of the last state's elements, each times its number from 1."""
    wanted = {name: value for name, value in model.named_parameters() if name.endswith(WITH_GRADIENT)}
    with torch.enable_grad():
        state = model.model(**arguments, use_cache=False).last_hidden_state[0, -1]
        loss = (state * torch.arange(1, len(state) + 1)).sum()
        values = torch.autograd.grad(loss, list(wanted.values()))
    return {f"gradient.{name}": value for name, value in zip(wanted, values)}


def bytes_of(pixel_values):
    """The first frame's bytes, once they are seen to say everything."""
    frames = pixel_values.view(len(pixel_values), 3, 2, -1)
    assert torch.equal(frames[:, :, 0], frames[:, :, 1])
    values = torch.round((frames[:, :, 0] * 0.5 + 0.5) * 255).to(torch.uint8)
    again = (values.float() * (1 / 255) - 0.5) / 0.5
    assert (again - frames[:, :, 0]).abs().max() < 1e-6
    return values.flatten(1)


def generate(name):
    variant = VARIANTS[name]
    config, template = variant["config"], variant["template"]
    folder = GOLDENS / name
    folder.mkdir(exist_ok=True)
    tokenizer = make_tokenizer()
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
    write_json(folder / "tokenizer_config.json", {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    items = make_items(template)
    if any(picture in FILES for item in items for picture in item["images"]):
        write_pictures(folder)

    model = build(config)
    weights = random_weights(model, variant["seed"])
    missing = model.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
    assert set(missing.missing_keys) <= {"lm_head.weight"} and not missing.unexpected_keys
    model.tie_weights()
    write_tensors(folder / "model.safetensors", weights)

    processor = Qwen2VLImageProcessorPil(**{k: v for k, v in PREPROCESSOR.items() if not k.endswith(("_type", "_class"))})
    expected, pictures, table = {}, {}, []
    for item in items:
        for picture in item["images"]:
            if picture in pictures:
                continue
            made = processor(load_picture(folder, picture), return_tensors="pt")
            pixels, grid = made["pixel_values"], made["image_grid_thw"][0].tolist()
            pictures[picture] = (pixels, grid)
            expected[f"image.{picture}.bytes"] = bytes_of(pixels)
            for stage, value in run_tower(model, pixels, grid).items():
                if stage == "features" or picture == "57x33":
                    expected[f"image.{picture}.{stage}"] = value
    for item in items:
        text = render(item, template, folder)
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        grids = [pictures[picture][1] for picture in item["images"]]
        ids = expand(ids, grids)
        with_gradients = template == "chatml" and item["name"] in ("text_short", "two_pictures")
        pixels = [pictures[picture][0] for picture in item["images"]]
        stages = run_item(model, ids, pixels, grids, with_gradients)
        whole = ("text_short", "composed") if template == "embedding" else ("text_short", "57x33")
        for stage, value in stages.items():
            if stage.startswith("hidden_states") and item["name"] not in whole:
                continue
            expected[f"item.{item['name']}.{stage}"] = value
        table.append({**item, "rendered": text, "input_ids": ids})
    write_tensors(folder / "expected.safetensors", expected)
    write_json(
        folder / "golden.json",
        {
            "generator": f"python3 tests/goldens/generate_qwen3_vl.py {name}",
            "versions": {**versions(), "tokenizers": tokenizers.__version__, "pillow": PIL.__version__},
            "seed": variant["seed"],
            "weights_dtype": "bfloat16",
            "computed_in": "float32, eager attention, one thread",
            "files": {},
            "tolerance": TOLERANCE,
            "pictures": {
                picture: {"grid": grid[1:], **({"file": FILES[picture]} if picture in FILES else {"size": DRAWN[picture]})}
                for picture, (_, grid) in pictures.items()
            },
            "items": table,
        },
    )
    print(name, {path.name: path.stat().st_size for path in sorted(folder.iterdir())})


if __name__ == "__main__":
    for wanted in sys.argv[1:] or VARIANTS:
        generate(wanted)
