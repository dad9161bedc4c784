"""A tiny CLIP as a user would have its folder, and what the reference makes of texts and pictures.

    python3 tests/goldens/clip_tiny/generate.py

writes beside itself: config.json, preprocessor_config.json, model.safetensors, and expected.safetensors with
`text.N`, `image.N`, `text_explicit_end.N` (the same weights, `eos_token_id` 50), `composed.0` and `phi.*`. The tokenizer
is ../tokenizer_kinds/clip.tokenizer.json.
"""

import hashlib
import json
import platform
from pathlib import Path

import numpy
import safetensors
import safetensors.torch
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

torch.set_num_threads(1)
torch.set_grad_enabled(False)
here = Path(__file__).parent
tokenizer = Tokenizer.from_file(str(here / "../tokenizer_kinds/clip.tokenizer.json"))
END = tokenizer.token_to_id("<|endoftext|>")
LENGTH = 20  # max_position_embeddings
assert END == tokenizer.get_vocab_size() - 1  # what the rule "the largest id" needs

CONFIG = {
    "model_type": "clip",
    "architectures": ["CLIPModel"],
    "projection_dim": 20,
    "text_config": {
        "model_type": "clip_text_model",
        "vocab_size": END + 1,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": LENGTH,
        "eos_token_id": 2,
        "projection_dim": 20,
    },
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 30,
        "patch_size": 6,
        "projection_dim": 20,
    },
}
PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 30},
    "crop_size": {"height": 30, "width": 30},
    "do_center_crop": True,
    "do_resize": True,
    "do_normalize": True,
    "do_rescale": True,
    "resample": 3,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
TEXTS = [
    "a photo of a cat",
    "",
    "Two DOGS run, and run, and run across the field until they can no longer be seen from the house!",
    "it's a small red ball",
]
SENTENCE = "a photo of $ that is blue"
PICTURES = ["house.png", "sunset.jpg"]


def random_weights(shapes):
    weights = {}
    for name, shape in shapes.items():
        digest = hashlib.sha256(name.encode()).digest()
        values = numpy.random.RandomState(int.from_bytes(digest[:4], "little")).standard_normal(shape)
        if "norm" in name and name.endswith("weight"):
            values = 1 + 0.3 * values
        elif len(shape) < 2:
            values = 0.2 * values
        elif "embedding.weight" in name and "patch" not in name:
            values = 0.3 * values
        else:
            values = values / numpy.sqrt(numpy.prod(shape[1:]))
        weights[name] = torch.from_numpy(numpy.asarray(values, dtype=numpy.float32))
    weights["logit_scale"] = torch.tensor(2.6592)
    return weights


def model_of(config, weights=None):
    config = CLIPConfig.from_dict(config)
    config._attn_implementation = "eager"
    model = CLIPModel(config).eval().float()
    weights = weights or random_weights({k: tuple(v.shape) for k, v in model.state_dict().items()})
    model.load_state_dict(weights, strict=True)
    return model, weights


def text_ids(text):
    ids = tokenizer.encode(text).ids
    return ids if len(ids) <= LENGTH else ids[: LENGTH - 1] + [END]


def text_embedding(model, ids):
    return model.get_text_features(input_ids=torch.tensor([ids])).pooler_output[0]


model, weights = model_of(CONFIG)
expected = {}
ids = [text_ids(text) for text in TEXTS]
for i, row in enumerate(ids):
    expected[f"text.{i}"] = text_embedding(model, row)

# The other rule: the first token of that id; the first token of all where there is none.
explicit = json.loads(json.dumps(CONFIG))
explicit["text_config"]["eos_token_id"] = 50
other, _ = model_of(explicit, weights)
explicit_ids = [[3, 50, 7, 50, END], [3, 4, 5], [50]]
for i, row in enumerate(explicit_ids):
    expected[f"text_explicit_end.{i}"] = text_embedding(other, row)

processor = CLIPImageProcessorPil(**{k: v for k, v in PREPROCESSOR.items() if k != "image_processor_type"})
for i, name in enumerate(PICTURES):
    picture = Image.open(here / "../../../examples/pictures" / name).convert("RGB")
    pixels = torch.from_numpy(numpy.asarray(processor(picture, return_tensors="np")["pixel_values"]))
    expected[f"image.{i}"] = model.get_image_features(pixel_values=pixels).pooler_output[0]

# A pseudo-word by textual inversion: three linear layers with GELU between, on the unnormalised image features.
hidden = 4 * 20
phi_shapes = {
    "layers.0.weight": (hidden, 20),
    "layers.0.bias": (hidden,),
    "layers.3.weight": (hidden, hidden),
    "layers.3.bias": (hidden,),
    "layers.6.weight": (24, hidden),
    "layers.6.bias": (24,),
}
phi = random_weights({f"phi.{k}": v for k, v in phi_shapes.items()})
del phi["logit_scale"]
phi = {name.removeprefix("phi."): value for name, value in phi.items()}
x = expected["image.0"]
for layer in (0, 3, 6):
    x = phi[f"layers.{layer}.weight"] @ x + phi[f"layers.{layer}.bias"]
    if layer != 6:
        x = torch.nn.functional.gelu(x)
expected["phi.pseudo_word"] = x
table = model.text_model.embeddings.token_embedding.weight
row = tokenizer.encode(SENTENCE).ids
place = row.index(tokenizer.encode("$").ids[1])
hook = model.text_model.embeddings.token_embedding.register_forward_hook(
    lambda module, arguments, output: torch.cat([output[:, :place], x[None, None], output[:, place + 1 :]], 1)
)
expected["phi.composed"] = text_embedding(model, row)
hook.remove()


def write(name, tensors):
    (here / name).write_bytes(safetensors.torch.save({k: v.contiguous().clone() for k, v in sorted(tensors.items())}))


write("model.safetensors", weights)
write("phi.safetensors", phi)
write("expected.safetensors", expected)
(here / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
(here / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
golden = {
    "generator": "python3 tests/goldens/clip_tiny/generate.py",
    "versions": {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
    },
    "seed": "of each tensor, its name's SHA-256",
    "dtype": "float32, eager attention, one thread",
    "tolerance": {"embedding": {"absolute": 1e-5, "relative": 1e-5}},
    "why": "fp32 on both sides; only the order of summation differs. The goal is 1e-4.",
    "texts": [{"text": text, "input_ids": row} for text, row in zip(TEXTS, ids)],
    "explicit_end": {"eos_token_id": 50, "input_ids": explicit_ids},
    "pictures": PICTURES,
    "sentence": SENTENCE,
}
(here / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
print({k: v.norm().item() for k, v in expected.items()}, ids)
