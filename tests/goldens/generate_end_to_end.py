"""A complete tiny model folder, items for it, and their embeddings computed wholly by the reference.

    python3 tests/goldens/generate_end_to_end.py

writes tests/goldens/end_to_end_tiny/: the reference's tokenizer, its PIL image processor and its model, in fp32.
"""

import io

import numpy
import PIL
import tokenizers
import torch
from PIL import Image
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlavaNextProcessor, PreTrainedTokenizerFast
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

from tiny_llava import *

FOLDER = GOLDENS / "end_to_end_tiny"
SEED = 21
TILE_PIXELS, PATCH_PIXELS = 48, 8
TILE_GRIDS = [(1, 2), (2, 1), (2, 2), (3, 1), (1, 3)]  # as the published pinpoints, in tiles

# ---------------------------------------------------------------------------------- tokenizer

CORPUS = """A brown dog runs through the deep snow. Two children play with a red ball in the park.
A woman in a blue dress is standing near the water. The man above is looking at the city in the evening.
Summary above sentence in one word: Summary above image in one word: Describe this image in one word:
user assistant Modify this image with change the style of this dress shirt based on its style, modified"""
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]


def make_tokenizer():
    """Llama-3's form with 64 merges; its control tokens are the last rows of the table, `<image>` is beyond."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=256 + 64, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in (*SPECIAL, "<image>", "<pad>")]
    )
    bos = SPECIAL[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos}:0 $A:0",
        pair=f"{bos}:0 $A:0 {bos}:1 $B:1",
        special_tokens=[(bos, tokenizer.token_to_id(bos))],
    )
    return tokenizer


def write_tokenizer(tokenizer):
    # `pretty` would be one line a token; this file is read by programs.
    (FOLDER / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
    added = tokenizer.get_added_tokens_decoder()
    write_json(
        FOLDER / "tokenizer_config.json",
        {
            "added_tokens_decoder": {
                str(index): {
                    "content": token.content,
                    "lstrip": token.lstrip,
                    "normalized": token.normalized,
                    "rstrip": token.rstrip,
                    "single_word": token.single_word,
                    "special": token.special,
                }
                for index, token in sorted(added.items())
            },
            "bos_token": SPECIAL[0],
            "clean_up_tokenization_spaces": True,
            "eos_token": "<|end_of_text|>",
            "model_input_names": ["input_ids", "attention_mask"],
            "model_max_length": 1024,
            "pad_token": "<pad>",
            "processor_class": "LlavaNextProcessor",
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )


# ---------------------------------------------------------------------------------- images


def drawing(width, height, kind=0):
    """RGB: a slanted gradient, a disk and stripes, in integers only."""
    y, x = numpy.mgrid[0:height, 0:width]
    red = (x * 255 // max(width - 1, 1) + 40 * kind) % 256
    green = (y * 255 // max(height - 1, 1) + 90 * kind) % 256
    blue = ((x + 2 * y) * 7) % 256
    picture = numpy.stack([red, green, blue], -1)
    disk = (2 * x - width) ** 2 + (2 * y - height) ** 2 < (min(width, height) * 2 // 3) ** 2
    picture[disk] = [(230, 40, 30), (20, 60, 220), (250, 220, 40)][kind % 3]
    picture[((x - y) % 13 == 0) & ~disk] = 255
    return picture.astype(numpy.uint8)


def draw_images():
    """Bytes by file name."""
    alpha = numpy.dstack([drawing(64, 48, 1), (numpy.mgrid[0:48, 0:64][1] * 4).astype(numpy.uint8)])
    jpeg = io.BytesIO()
    Image.fromarray(drawing(80, 60, 2)).save(jpeg, "JPEG", quality=90)
    pictures = {
        "rgb_57x33.png": Image.fromarray(drawing(57, 33)),
        "gray_40x60.png": Image.fromarray(drawing(40, 60, 1)[..., 1]),
        "alpha_64x48.png": Image.fromarray(alpha),
        "palette_50x50.png": Image.fromarray(drawing(50, 50, 2)).quantize(16, dither=Image.Dither.NONE),
        "wide_150x50.png": Image.fromarray(drawing(150, 50, 1)),
        "tall_30x95.png": Image.fromarray(drawing(30, 95, 2)),
        "line_1x200.png": Image.fromarray(drawing(1, 200)),
        "line_200x1.png": Image.fromarray(drawing(200, 1)),
        "drawn_80x60_decoded.png": Image.open(io.BytesIO(jpeg.getvalue())).convert("RGB"),
    }
    files = {"drawn_80x60.jpg": jpeg.getvalue()}
    for name, picture in pictures.items():
        content = io.BytesIO()
        picture.save(content, "PNG", optimize=True)
        files[name] = content.getvalue()
    return files


# ---------------------------------------------------------------------------------- items

TEMPLATE = (
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n"
)
# (task, what the item has): the published prompts, their spelling included.
PROMPTS = {
    ("retrieval", "text"): "<sent>\nSummary above sentence in one word: ",
    ("retrieval", "image"): "<image>\nSummary above image in one word: ",
    ("cirr", "image"): "<image>\n Describe this image in one word:",
    ("cirr", "composed"): '<image>Modify this image with "<sent>", desribe modified image in one word:',
    ("fashioniq-dress", "image"): "<image>\n Describe this dress in one word based on its style:",
    ("fashioniq-dress", "composed"): "<image> change the style of this dress to <sent>\n "
    "Desribe this modified dress in one word based on its style:",
    ("sts", "text"): " <sent>\nSummary above sentence in one word:",
}
ITEMS = [
    {"id": "caption", "text": "A brown dog runs through the deep snow."},
    {"id": "unicode", "text": "Ein Hund läuft – 雪の中の犬 🐕 na\u0308ive\u00a0…"},
    {"id": "long", "text": " ".join(CORPUS.split("\n")[:2]) + "\n\tIt's 12345 o'clock; they'LL see…  "},
    {"id": "sts", "text": "Two children play with a red ball.", "task": "sts"},
    {"id": "rgb", "image": "images/rgb_57x33.png"},
    {"id": "gray", "image": "images/gray_40x60.png"},
    {"id": "alpha", "image": "images/alpha_64x48.png"},
    {"id": "palette", "image": "images/palette_50x50.png"},
    {"id": "wide", "image": "images/wide_150x50.png"},
    {"id": "tall", "image": "images/tall_30x95.png"},
    {"id": "line_1x200", "image": "images/line_1x200.png"},
    {"id": "line_200x1", "image": "images/line_200x1.png"},
    {"id": "jpeg", "image": "images/drawn_80x60.jpg"},
    {"id": "jpeg_decoded", "image": "images/drawn_80x60_decoded.png"},
    {"id": "cirr_image", "image": "images/rgb_57x33.png", "task": "cirr"},
    {"id": "cirr_query", "text": "two dogs in the snow", "image": "images/rgb_57x33.png", "task": "cirr"},
    {"id": "dress", "image": "images/tall_30x95.png", "task": "fashioniq-dress"},
    {
        "id": "dress_query",
        "text": "is red, has no sleeves",
        "image": "images/tall_30x95.png",
        "task": "fashioniq-dress",
    },
    {
        "id": "two_images",
        "text": "in one word",
        "images": ["images/gray_40x60.png", "images/wide_150x50.png"],
        "prompt": "<|start_header_id|>user<|end_header_id|>\n\n<image> and <image>, <sent>:<|eot_id|>",
    },
]


def prompt_of(item):
    if "prompt" in item:
        template = item["prompt"]
    else:
        kind = "composed" if "text" in item and "image" in item else "text" if "text" in item else "image"
        template = TEMPLATE.format(PROMPTS[item.get("task", "retrieval"), kind])
    return template.replace("<sent>", item.get("text", ""))


# ---------------------------------------------------------------------------------- the reference


class Reference:
    def __init__(self, resample=None):
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER)
        self.image_processor = LlavaNextImageProcessorPil.from_pretrained(
            FOLDER, **({"resample": resample} if resample is not None else {})
        )
        self.processor = LlavaNextProcessor(
            self.image_processor,
            self.tokenizer,
            patch_size=PATCH_PIXELS,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
        )
        config = json.loads((FOLDER / "config.json").read_text())
        self.model = load_weights(build(config), safetensors.torch.load_file(FOLDER / "model.safetensors"))

    def embed(self, item, prompt, open_image=lambda path: Image.open(path)):
        paths = item.get("images") or ([item["image"]] if "image" in item else [])
        pictures = [open_image(FOLDER / path) for path in paths]
        packed, tiles, sizes = [], [], []
        for picture in pictures:
            inputs = self.image_processor(picture, return_tensors="pt")
            sizes.append(inputs["image_sizes"][0].tolist())
            tiles.append(inputs["pixel_values"][0].shape[0])
            packed.append(encode_image(self.model, inputs["pixel_values"][0].float(), sizes[-1])["packed"])
        input_ids = self.tokenizer(prompt)["input_ids"]
        embeds = splice(self.model, input_ids, packed)
        # The reference's own expansion of `<image>` is as long.
        expanded = self.processor(text=prompt, images=pictures or None, return_tensors="pt")["input_ids"][0]
        assert len(expanded) == len(embeds), item["id"]
        _, last = run_text(self.model, embeds)
        about = {"input_ids": input_ids, "length": len(embeds)}
        if pictures:
            about.update(image_sizes=sizes, tiles=tiles)
        return {"last_hidden_state": last, "embedding": normalize(last)}, about


def main():
    (FOLDER / "images").mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    write_tokenizer(tokenizer)
    for name, content in draw_images().items():
        (FOLDER / "images" / name).write_bytes(content)
    image_token = tokenizer.token_to_id("<image>")
    config = llava_config(
        text_config(
            num_hidden_layers=2,
            vocab_size=image_token,
            bos_token_id=tokenizer.token_to_id(SPECIAL[0]),
            eos_token_id=tokenizer.token_to_id(SPECIAL[1]),
        ),
        vision_config(image_size=TILE_PIXELS, patch_size=PATCH_PIXELS),
        image_grid_pinpoints=[[h * TILE_PIXELS, w * TILE_PIXELS] for h, w in TILE_GRIDS],
        image_token_index=image_token,
    )
    write_json(FOLDER / "config.json", config)
    write_json(
        FOLDER / "preprocessor_config.json",
        {
            "aspect_ratio_setting": "anyres",
            "crop_size": {"height": TILE_PIXELS, "width": TILE_PIXELS},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_pad": True,
            "do_rescale": True,
            "do_resize": True,
            "image_grid_pinpoints": config["image_grid_pinpoints"],
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_processor_type": "LlavaNextImageProcessor",
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "processor_class": "LlavaNextProcessor",
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": TILE_PIXELS},
        },
    )
    weights = random_weights(published_shapes(build(config)), SEED)
    write_tensors(FOLDER / "model.safetensors", weights)
    (FOLDER / "items.jsonl").write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in ITEMS))

    reference = Reference()
    assert json.loads(reference.tokenizer.backend_tokenizer.to_str()) == json.loads(tokenizer.to_str())
    expected, table = {}, []
    for item in ITEMS:
        prompt = prompt_of(item)
        results, about = reference.embed(item, prompt)
        assert about["input_ids"] == tokenizer.encode(prompt).ids
        expected.update({f"{item['id']}.{name}": value for name, value in results.items()})
        table.append({"id": item["id"], "prompt": prompt, **about})
    write_tensors(FOLDER / "expected.safetensors", expected)

    def changed(identifier, prompt=lambda text: text, reference=reference, **options):
        item = next(item for item in ITEMS if item["id"] == identifier)
        results, _ = reference.embed(item, prompt(prompt_of(item)), **options)
        return max_difference(results["last_hidden_state"], expected[f"{identifier}.last_hidden_state"])

    def on_white(path):
        picture = Image.open(path)
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")

    sensitivity = {
        "text without the prompt's last space": changed("caption", lambda text: text.replace(": <", ":<")),
        "alpha composited on white": changed("alpha", open_image=on_white),
        "bilinear for bicubic": changed("wide", reference=Reference(Image.Resampling.BILINEAR)),
    }
    write_json(
        FOLDER / "golden.json",
        {
            "generator": "python3 tests/goldens/generate_end_to_end.py",
            "versions": {**versions(), "tokenizers": tokenizers.__version__, "Pillow": PIL.__version__},
            "seed": SEED,
            "weights_dtype": "float32",
            "computed_in": "float32, eager attention, one thread; PIL image processor",
            "files": {},
            "tolerance": {
                **TOLERANCE,
                "jpeg": "The pixels of the item 'jpeg' depend on the JPEG library: 'jpeg_decoded' is the same picture, "
                "decoded by the generator, and is to be compared instead where they differ.",
            },
            "items": table,
            "sensitivity": sensitivity,
        },
    )
    print(sensitivity, [(item["id"], item["length"]) for item in table])


if __name__ == "__main__":
    main()
